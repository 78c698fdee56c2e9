"""The remote cache of a store: what it has, bringing trees from there and there.

Nothing that is wrong with it is raised: it becomes a warning, and the cache has nothing then. Only a run that was
cancelled or superseded ends (Cancelled).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from osbuild_core.model.errors import StoreError
from osbuild_core.store.failure import reported
from osbuild_core.store.lease import Lease
from osbuild_core.store.remote import changes
from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.compression import compressed, decompressed
from osbuild_core.store.remote.member import damaged
from osbuild_core.store.remote.pack import pack
from osbuild_core.store.remote.record import LONGEST, Record, decode, encode, record_name
from osbuild_core.store.remote.tarreader import Reader
from osbuild_core.store.remote.unpack import unpack
from osbuild_core.store.store import Store


class Moved(NamedTuple):
    """What came or went: ``objects`` trees, ``size`` bytes compressed."""

    objects: int = 0
    size: int = 0


class RemoteCache:
    """May be used from any thread; :meth:`pull` and :meth:`push` need one with a mount namespace of its own."""

    def __init__(self, store: Callable[[], Store], access: Access) -> None:
        self._store = store
        self.access = access
        self._patience = access.patience
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._missing: set[str] = set()
        self._bad: set[str] = set()

    @property
    def writable(self) -> bool:
        """Whether something can be put there, as far as is known."""
        return self.access.writable

    # Looking

    def refresh(self) -> None:
        """Forget what was looked up so far, but not what was found to be damaged."""
        with self._lock:
            self._records.clear()
            self._missing.clear()

    def has(self, key: str) -> bool:
        """Tell whether a tree can be had, as far as the records say: its own and those that it stands on.

        What was looked up is not asked for again before :meth:`refresh`.
        """
        return self._chain(key) is not None

    def _chain(self, key: str) -> list[Record] | None:
        """Return the records that make a tree, newest first."""
        chain: list[Record] = []
        wanted: tuple[str, str | None] | None = (key, None)
        while wanted is not None:
            if wanted[0] in self._missing:
                return None
            record = self.record(wanted[0])
            if record is None:
                self._missing.add(wanted[0])
                return None
            if wanted[1] not in (None, record.tree) or any(record.key == other.key for other in chain):
                # What it stood on was built anew since.
                return None
            chain.append(record)
            wanted = None if record.parent is None else (record.parent, record.parent_tree)
        return chain

    def record(self, key: str) -> Record | None:
        """Return what the cache knows of a tree; None for nothing."""
        if key in self._bad or not self.access.readable:
            return None
        known = self._records.get(key)
        if known is not None:
            return known
        record = None
        try:
            text = self.access.read(record_name(key), LONGEST)
            record = None if text is None else decode(text, key)
        except StoreError as error:
            self._trouble(error, key)
        if record is not None:
            with self._lock:
                self._records[key] = record
        return record

    def _trouble(self, error: StoreError, key: str) -> None:
        """Warn of ``error``, which has to do with the entry of ``key``, and draw the conclusions."""
        if error.code != "remote.damaged":
            self.access.trouble(error)
            return
        with self._lock:
            self._bad.add(key)
            known = self._records.pop(key, None)
        self.access.warn(f"{error.detail} (key {key[:12]}): it is not used")
        if known is None or self._reread(key) == known:
            self.access.discard([record_name(key), *([known.layer_name] if known else [])])

    def _reread(self, key: str) -> Record | None:
        """Return the record as it is now: somebody may have put another one there."""
        try:
            text = self.access.read(record_name(key), LONGEST)
            return None if text is None else decode(text, key)
        except StoreError:
            return None

    # Pulling

    def pull(self, key: str) -> tuple[Lease | None, Moved]:
        """Bring a tree into the store, with what it stands on and the store lacks; hold it.

        None where that cannot be; :meth:`has` knows from then on.
        """
        with self._lock:
            self._missing.clear()
        chain = self._chain(key)
        if chain is None:
            return None, Moved()
        todo, base = self._lacking(chain)
        moved = Moved()
        waiting: list[Record] = []
        with ExitStack() as stack:
            for record in reversed(todo):
                if base is not None:
                    stack.push(base)
                with self._store().building(record.key, self._cancelled):
                    there = self._store().acquire(record.key)
                    if there is None:
                        there, base = self._unpack([*waiting, record], base), None
                        if there is None:
                            return None, moved
                        moved = Moved(moved.objects + 1, moved.size + sum(r.size for r in (*waiting, record)))
                    elif there.info.identity != record.tree and record.key != key:
                        # The store has another tree for that key; what lies on this one takes it along.
                        there.close()
                        waiting.append(record)
                        continue
                waiting = []
                stack.close()
                base = there
            stack.pop_all()
        return base, moved

    def _lacking(self, chain: Sequence[Record]) -> tuple[list[Record], Lease | None]:
        """Return those of ``chain`` that the store does not have, newest first, and the tree below them."""
        todo: list[Record] = []
        for record in chain:
            lease = self._store().acquire(record.key)
            if lease is not None:
                if lease.info.identity == record.tree:
                    return todo, lease
                lease.close()
            todo.append(record)
        return todo, None

    def _cancelled(self) -> bool:
        self._patience.check()
        return False

    def _unpack(self, records: Sequence[Record], base: Lease | None) -> Lease | None:
        """Make the tree of the last of ``records`` on ``base``, which is ours no more."""
        record = records[-1]
        store = self._store()
        try:
            flags = base is not None and base.flagged()
            plain = any(one.plain for one in records)
            # The layer itself is written several times faster than through a mount.
            bare = not any(one.nested for one in records)
            with store.begin(record.key, base, plain=plain, bare=bare, cancelled=self._cancelled) as work:
                for record in records:
                    self._unpack_layer(record, str(work.tree), flags, layer=work.bare)
                    flags = flags or record.flagged
                flagged = any(one.flagged for one in records)
                return work.commit_held(
                    record.document, tree=record.tree, flagged=flagged, flags=not work.bare
                )
        except StoreError as error:
            if base is not None:
                base.close()
            # Whatever it was: a plan that counts on it would fail again.
            with self._lock:
                self._bad.add(record.key)
            if error.code.startswith("remote."):
                self._trouble(error, record.key)
            else:
                self.access.warn(f"{record.key[:12]} of the remote cache cannot be kept: {error.detail}")
            return None

    def _unpack_layer(self, record: Record, tree: str, flags: bool, *, layer: bool) -> None:
        source = self.access.open(record.layer_name)
        if source is None:
            raise damaged("its layer is missing")
        with (
            reported("unpacking a layer"),
            decompressed(source, record.layer, self._patience) as stream,
        ):
            unpack(Reader(stream), tree, flags=flags, layer=layer, check=self._patience.check)

    # Pushing

    def push(self, key: str, before: Sequence[str] = ()) -> Moved:
        """Put a tree there that the store has and the cache lacks, and those that it stands on.

        ``before`` are the keys of the stages before it, newest first.
        """
        store = self._store()
        todo: list[tuple[str, Sequence[str]]] = []
        moved = Moved()
        for number, one in enumerate((key, *before)):
            if not store.has(one):
                continue
            if not self.writable or self._is_there(one):
                break
            todo.append((one, before[number:]))
        for one, older in reversed(todo):
            size = self._push_one(one, older) if self.writable else None
            if size is not None:
                moved = Moved(moved.objects + 1, moved.size + size)
        return moved

    def _is_there(self, key: str) -> bool:
        """Tell whether a tree can be had by now, with all that it stands on."""
        with self._lock:
            self._missing.clear()
            # What was wrong there has been removed, or cannot be.
            self._bad.discard(key)
        return self._chain(key) is not None

    def _push_one(self, key: str, older: Sequence[str]) -> int | None:
        """Put one tree there; returns the compressed size, None where there was nothing to do or it failed."""
        lease = None if self._is_there(key) else self._store().acquire(key)
        if lease is None:
            return None
        with lease:
            try:
                if self._records.pop(key, None) is not None:
                    # What that one stood on was deleted, so nobody can use it.
                    self.access.discard([record_name(key)])
                with self._store().scratch("push") as scratch, reported("packing a layer"):
                    record = self._packed(lease, older, scratch / "layer")
                    (scratch / "record").write_bytes(encode(record))
                    self.access.put(record.layer_name, scratch / "layer")
                    if not self.access.put(record_name(key), scratch / "record"):
                        return None
                    with self._lock:
                        self._records[key] = record
                    return record.size
            except StoreError as error:
                if error.code.startswith("remote."):
                    self.access.trouble(error)
                else:
                    self.access.warn(f"{key[:12]} cannot be put into the remote cache: {error.detail}")
                return None

    def _packed(self, lease: Lease, older: Sequence[str], spool: Path) -> Record:
        """Write what ``lease`` changes to ``spool``, and return its record."""
        with ExitStack() as stack:
            tree = str(stack.enter_context(lease.mount()))
            parent, parent_tree, changed = self._changes(lease, tree, older, stack)
            with compressed(spool) as (stream, counting):
                odd = pack(tree, changed, stream, flags=lease.flagged(), check=self._patience.check)
        with open(spool, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Record(
            key=lease.key,
            parent=parent,
            tree=lease.info.identity,
            parent_tree=parent_tree,
            document=lease.info.document,
            layer=digest,
            size=spool.stat().st_size,
            unpacked=counting.count,
            plain=lease.info.plain or odd.plain,
            flagged=lease.flagged(),
            nested=odd.nested,
        )

    def _changes(
        self, lease: Lease, tree: str, older: Sequence[str], stack: ExitStack
    ) -> tuple[str | None, str | None, changes.Changes]:
        """Return what the tree lies on in the cache (key and identity) and what it changes there."""
        below = lease.parent()
        if below is not None:
            key = below.stands_for or below.key
            if self._lies_there(key, below.identity):
                return key, below.identity, changes.of_layer(str(lease.info.layer), tree)
            return None, None, changes.everything(tree)
        for key in older:
            base = self._store().acquire(key)
            if base is None:
                continue
            stack.enter_context(base)
            if not self._lies_there(key, base.info.identity):
                break
            old = str(stack.enter_context(base.mount()))
            flags = base.flagged() or lease.flagged()
            return key, base.info.identity, changes.between(old, tree, flags=flags)
        return None, None, changes.everything(tree)

    def _lies_there(self, key: str, identity: str) -> bool:
        record = self.record(key)
        return record is not None and record.tree == identity
