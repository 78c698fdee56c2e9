"""Manifest templates (YAML) become locked manifests (JSON): variables, includes, conditionals, packages."""

from osbuild_core.resolve.settings import ResolveSettings
from osbuild_core.resolve.template import declarations, dumps, resolve, resolve_again_hint

__all__ = ["ResolveSettings", "declarations", "dumps", "resolve", "resolve_again_hint"]
