"""A build engine for operating system images.

The public names are :class:`Session` (everything), :func:`load` (a manifest, checked) and :func:`build`
(a manifest, built and exported). They are imported when they are first used.
"""

__version__ = "0.1.0"
__all__ = ["Session", "Settings", "build", "load"]


def __getattr__(name: str) -> object:
    if name == "Session":
        from osbuild_core.engine.session import Session

        return Session
    if name == "Settings":
        from osbuild_core.engine.settings import Settings

        return Settings
    if name in ("build", "load"):
        from osbuild_core.engine import quick

        return getattr(quick, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
