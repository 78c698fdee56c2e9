"""Sources: services that bring bytes into the cache, each item under its checksum."""

import os
import time

from osbuild import host

EMPTY_DIGESTS = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
)
"""md5, sha1, sha256, sha384 and sha512 of nothing."""

PARTIAL = ".partial"
"""Directory beside those of the content types, for what is not complete yet."""

_OLD_ARGUMENTS = 4
"""How many a source's ``download`` takes that was written for osbuild before 2022, itself included."""

_PARTIAL_AGE = 7 * 24 * 3600
_INTERVAL = 0.1


class SourceService(host.Service):
    """Base of sources. A source sets ``content_type`` and has :meth:`fetch_one` or :meth:`fetch_all`.

    While a method runs, ``cache`` is the directory of its content type, ``partial`` a directory on the same
    file system for incomplete downloads, ``tmpdir`` a scratch directory there, and ``options`` the source's options.
    """

    content_type = None
    max_workers = 1

    def __init__(self, args):
        super().__init__(args)
        self.cache = None
        self.partial = None
        self.tmpdir = None
        self.options = {}
        self._results = {}
        self._total = 0
        self._signalled = 0.0
        self._lock = None

    def fetch_one(self, checksum, desc):
        """Fetch one item into ``cache`` under its checksum, complete and verified. May raise any Exception."""
        raise NotImplementedError

    def fetch_all(self, items):
        """Fetch ``items`` ({checksum: description}); what fails must not keep others from being fetched.

        Call :meth:`report` for each as it ends. Those never reported are taken for fetched if they are in the cache.
        """
        import concurrent.futures

        def fetch(item):
            try:
                self.fetch_one(*item)
            except Exception as e:  # the item fails, whatever the reason, and the others go on
                self.report(item[0], error=str(e) or type(e).__name__)
            else:
                self.report(item[0])

        with concurrent.futures.ThreadPoolExecutor(max_workers=self.max_workers) as pool:
            list(pool.map(fetch, items.items()))

    def exists(self, checksum, desc):
        """Tell whether the item is in the cache."""
        try:
            size = os.stat(os.path.join(self.cache, checksum)).st_size
        except FileNotFoundError:
            return False
        # A file without content is what a power failure leaves of one that had not reached the disk.
        return size > 0 or checksum.partition(":")[2] in EMPTY_DIGESTS

    def transform(self, checksum, desc):
        """Return (checksum, description) as ``fetch_one`` wants them."""
        return checksum, desc

    def report(self, checksum, error=None, cached=False, received=0):
        """Say that an item has ended; ``received`` counts the bytes of all items so far. Any thread may call it."""
        result = {
            "success": error is None,
            "metadata": {"checksum": checksum, "cached": cached},
            "error": error,
        }
        with self._lock:
            self._results[checksum] = result
        self.progress(received, result=result)

    def progress(self, received=0, expected=0, result=None):
        """Tell the engine how far it is, at most ten times a second; bytes, 0 where unknown."""
        now = time.monotonic()
        with self._lock:
            done = len(self._results)
            last = result is not None and done == self._total
            if now - self._signalled < _INTERVAL and not last:
                return
            self._signalled = now
        data = {"done": done, "total": self._total, "received": received, "expected": expected}
        if result is not None:
            data["result"] = result
        self.emit_signal({"progress": data})

    def download(self, items):
        """Fetch those of ``items`` that are missing and return the reply for the engine."""
        import threading

        self._lock = threading.Lock()
        self._results = {}
        self._total = len(items)
        missing = {}
        for checksum, desc in items.items():
            if self.exists(checksum, desc):
                self.report(checksum, cached=True)
            else:
                wanted, how = self.transform(checksum, desc)
                missing[wanted] = how
        problem = None
        if missing:
            try:
                self._fetch(missing)
            except Exception as e:  # becomes the error of each item that is not there
                problem = str(e) or type(e).__name__
        for checksum, desc in missing.items():
            if checksum not in self._results:
                there = self.exists(checksum, desc)
                self.report(checksum, error=None if there else problem or "was not fetched")
        return self._reply(problem)

    def _fetch(self, missing):
        import tempfile

        os.makedirs(self.partial, exist_ok=True)
        _remove_old(self.partial)
        with tempfile.TemporaryDirectory(prefix="tmp-", dir=self.partial) as self.tmpdir:
            self.fetch_all(missing)

    def _reply(self, problem):
        results = list(self._results.values())
        lines = [
            "{}: {}".format(result["metadata"]["checksum"], result["error"])
            for result in results
            if not result["success"]
        ]
        return {
            "name": self.id,
            "source_type": self.id.partition("/")[2] or self.id,
            "success": not lines,
            "output": "\n".join(lines or ([problem] if problem else [])),
            "results": results,
        }

    def copy(self, items, target):
        """Put ``items``, which are in the cache, into the cache directory ``target`` as well."""
        folder = os.path.join(target, self.content_type)
        os.makedirs(folder, exist_ok=True)
        for checksum, desc in items.items():
            name, _ = self.transform(checksum, desc)
            self.copy_one(os.path.join(self.cache, name), os.path.join(folder, name))

    def copy_one(self, source, target):
        """Put the cached file ``source`` at ``target``; it may be there already."""
        try:
            os.link(source, target)
        except FileExistsError:
            return
        except OSError:
            import shutil
            import tempfile

            # Another file system: copied beside its place, so that nothing incomplete is seen there.
            with tempfile.TemporaryDirectory(prefix=".copy-", dir=os.path.dirname(target)) as folder:
                copy = os.path.join(folder, "copy")
                shutil.copy2(source, copy)
                os.replace(copy, target)

    def setup(self, args):
        """Take over what is common to all methods from their arguments."""
        self.cache = os.path.join(args["cache"], self.content_type)
        self.partial = os.path.join(args["cache"], PARTIAL)
        self.options = args.get("options") or {}
        os.makedirs(self.cache, exist_ok=True)

    def dispatch(self, method, args, fds):
        if method not in ("download", "copy"):
            raise host.ProtocolError("a source has no method {!r}".format(method))
        self.setup(args)
        if method == "download":
            if self.download.__code__.co_argcount == _OLD_ARGUMENTS:
                return self.download(args["items"], args["cache"], self.options), None
            return self.download(args["items"]), None
        self.copy(args["items"], args["dst_cache"])
        return None, None


def _remove_old(folder):
    """Remove what was left behind in ``folder`` so long ago that nobody will come back for it."""
    import shutil

    limit = time.time() - _PARTIAL_AGE
    for entry in os.scandir(folder):
        try:
            if entry.stat(follow_symlinks=False).st_mtime >= limit:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        except FileNotFoundError:
            # Another process had the same idea.
            continue
