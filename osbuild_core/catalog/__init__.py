"""Finds modules (stages, inputs, sources, …) and their metadata in a library directory."""

from osbuild_core.catalog.library import KINDS, Library, default_library, host_runner_names, schema_file
from osbuild_core.catalog.module import Module

__all__ = ["KINDS", "Library", "Module", "default_library", "host_runner_names", "schema_file"]
