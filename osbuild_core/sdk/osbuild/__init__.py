"""What a module imports as ``osbuild``: standard library only, from Python 3.6 on.

Stages use :mod:`osbuild.api` and :mod:`osbuild.util`; host services derive from the classes in
:mod:`osbuild.inputs`, :mod:`osbuild.sources`, :mod:`osbuild.devices` and :mod:`osbuild.mounts`.
Nothing is imported here, because every stage pays for it.
"""
