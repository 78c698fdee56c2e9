"""Monitors of ``osbuild``: each shows the events of a run in one way. They only read them."""
