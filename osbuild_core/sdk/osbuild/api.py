"""A stage's side of the engine: arguments in, metadata and exceptions out.

Every stage imports this, so only what each of them needs is imported at the top; ``json`` alone,
which brings ``re`` and ``enum``, would double the start-up time of a small stage.
"""

import os
import sys

ARGUMENTS = "/run/osbuild/api/arguments"
METADATA = "/run/osbuild/meta"
SOCKET = "/run/osbuild/api/osbuild"

EXIT_EXCEPTION = 2


def arguments(path=ARGUMENTS):
    """Return the stage's arguments, a dict with ``tree``, ``options``, ``inputs``, ``devices``, ``mounts``,
    ``paths`` and ``meta``.

    From here on an exception that nobody catches is reported to the engine and the exit status is 2.
    Raises OSError where there are no arguments, ValueError where they are not JSON.
    """
    sys.excepthook = _report_uncaught
    with open(path, encoding="utf-8") as file:
        return _parse(file.read())


def metadata(data, path=METADATA):
    """Hand ``data`` (JSON serializable) to the engine, which keeps it with the result.

    A later call replaces what an earlier one wrote.
    """
    import json

    text = json.dumps(data)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def exception(e, path=SOCKET):
    """Report ``e`` to the engine, print its traceback for the log, and exit with status 2."""
    _send_exception(type(e), e, e.__traceback__, path)
    sys.exit(EXIT_EXCEPTION)


class _Decoding:
    """What the scanner wants to know, as json.JSONDecoder has it by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _parse(text):
    """Return the document that ``text`` is. Raises ValueError."""
    try:
        from _json import make_scanner  # the C half of json, which does not need the other one
    except ImportError:
        import json

        return json.loads(text)
    text = text.strip(" \t\r\n")
    try:
        value, end = make_scanner(_Decoding)(text, 0)
    except StopIteration as stop:
        raise ValueError("no JSON at position {}".format(stop.value)) from None
    if end != len(text):
        raise ValueError("more than one JSON document, the first ends at position {}".format(end))
    return value


class exception_handler:  # noqa: N801 - modules know it by this name
    """Context manager: an Exception raised inside is reported to the engine, then the exit status is 2."""

    def __init__(self, path=SOCKET):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, e, _traceback):
        if kind is not None and issubclass(kind, Exception):
            exception(e, self.path)
        return False


def _report_uncaught(kind, e, trace):
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, e, trace)
        return
    _send_exception(kind, e, trace, SOCKET)
    sys.exit(EXIT_EXCEPTION)


def _send_exception(kind, e, trace, path):
    import traceback

    sys.stdout.flush()
    traceback.print_exception(kind, e, trace)
    message = {
        "method": "exception",
        "exception": {
            "type": kind.__name__,
            "value": str(e),
            "traceback": "".join(traceback.format_tb(trace)),
        },
    }
    # Outside of a sandbox there is no socket; the printed traceback is all there is then.
    if not os.path.exists(path):
        return
    from osbuild.util.jsoncomm import Socket

    try:
        with Socket.new_client(path) as sock:
            sock.send(message)
    except OSError as problem:
        print("cannot report the exception: {}".format(problem), file=sys.stderr)
