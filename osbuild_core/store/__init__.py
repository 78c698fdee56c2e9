"""The object store: finished trees as layers, source files, locks, eviction. See DESIGN section 4.

:class:`~osbuild_core.store.store.Store` is the door; nothing is imported here, so that a face pays for
what it uses only.
"""
