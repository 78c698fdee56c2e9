"""Exports: services that bring a finished tree to where it is used. They run on the host, with its network.

Secrets are never options: what a manifest may hold is the name of a profile, a file or a variable of the host.
"""

import contextlib
import os
import select
import signal
import threading
import time

from osbuild import host

_INTERVAL = 0.1

_LONGEST_END = 10.0
"""Seconds that an export which nobody waits for any more gets to undo what it has begun."""


class ExportError(Exception):
    """An export failed, for a reason that its user can do something about.

    ``hint`` says what; ``place`` (names and indices) where in the options the reason is; ``data`` is what was
    done in spite of it, as :meth:`ExportService.export` returns it.
    """

    def __init__(self, message, hint=None, place=(), data=None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = list(place)
        self.data = data or {}


class Cancelled(BaseException):
    """Nobody waits for the export any more. Comes from anywhere; let it pass, after cleaning up."""


class ExportService(host.Service):
    """Base of export modules, which have :meth:`export`. ``name`` is that of the export in the manifest.

    While it exports, ``manifest`` is the path of a file with the manifest (None: unknown), ``libraries`` are the
    directories that its modules come from, those of the program itself left out, and ``sources`` is the directory of
    the store's source files, by content type and checksum.

    When the engine goes away, or does not want the export any more, Cancelled is raised in its main thread.
    """

    def __init__(self, args):
        super().__init__(args)
        self.name = self.id.partition("/")[2] or self.id
        self.manifest = None
        self.libraries = []
        self.sources = None
        self._lock = threading.Lock()
        self._signalled = 0.0

    def export(self, tree, output, options):
        """Export what is in the directory ``tree``, which is read-only, and return a dict that JSON can hold: what
        was made, for those who use it. The engine shows it and keeps it.

        ``output`` is a directory of this export for files, None where the user named none. May raise
        ExportError or any other Exception. Doing it again has to give the same: it may have been interrupted.
        """
        raise NotImplementedError

    def progress(self, done=0, total=0, message=""):
        """Tell the engine how far it is: bytes (0: unknown) and what it is doing. Any thread may call this; what
        comes too fast is left out, unless ``message`` is given."""
        with self._lock:
            now = time.monotonic()
            if now - self._signalled < _INTERVAL and not message and done != total:
                return
            self._signalled = now
            self.emit_signal({"progress": {"done": done, "total": total, "message": message}})

    def dispatch(self, method, args, fds):
        if method != "export":
            raise host.ProtocolError("an export has no method {!r}".format(method))
        self.manifest = args.get("manifest")
        self.libraries = list(args.get("libraries") or ())
        self.sources = args.get("sources")
        try:
            with self._cancellable():
                data = self.export(args["tree"], args["output"], args["options"])
        except ExportError as error:
            return {
                "data": error.data,
                "error": error.message,
                "hint": error.hint,
                "place": error.place,
            }, None
        return {"data": data or {}}, None

    @contextlib.contextmanager
    def _cancellable(self):
        """Raise Cancelled in this thread, which is the main one, when the engine closes the socket meanwhile."""

        def cancel(_number, _frame):
            raise Cancelled()

        before = signal.signal(signal.SIGUSR1, cancel)
        reading, writing = os.pipe()
        watch = threading.Thread(target=self._watch, args=(threading.get_ident(), reading), daemon=True)
        watch.start()
        try:
            yield
        finally:
            # From here on the main thread sees the end of the socket itself.
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            os.close(writing)
            watch.join()
            os.close(reading)
            signal.signal(signal.SIGUSR1, before)

    def _watch(self, main, ended):
        poll = select.poll()
        poll.register(self.sock.fileno(), 0)
        poll.register(ended, 0)
        if ended in dict(poll.poll()):
            return
        signal.pthread_kill(main, signal.SIGUSR1)
        poll.unregister(self.sock.fileno())
        if poll.poll(_LONGEST_END * 1000):
            return
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
