"""The directory that modules get as PYTHONPATH; ``osbuild`` in it is what they import."""
