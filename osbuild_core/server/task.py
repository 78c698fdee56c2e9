"""The process that does one piece of work for a worker, and ends with it.

Run as ``python -m osbuild_core.server.task``; by the guard, with a descriptor that ends when the work is cancelled.

A process of its own: it can be stopped at any moment, libraries that crash take nothing else with them, and a worker
that is busy still gives signs of life.
"""

from __future__ import annotations

import base64
import dataclasses
import errno
import importlib
import json
import os
import pickle
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from osbuild_core.model.errors import OsbuildError, place_text
from osbuild_core.server.namespaces import die_with_parent

if TYPE_CHECKING:
    from osbuild_core.exports.compose.configuration import ComposeSettings
    from osbuild_core.exports.compose.request import ComposeRequest


class Stopped(BaseException):
    """SIGTERM: the work was cancelled."""


class Channel:
    """The worker's end: reads what it says in a thread, and ends this process when it falls silent."""

    def __init__(self, incoming: IO[str], outgoing: IO[str]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()
        self._go: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._signed: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._deadline = float("inf")
        self.stopped = threading.Event()

    def task(self) -> dict[str, Any]:
        """Return the task."""
        task: dict[str, Any] = json.loads(self._incoming.readline())
        return task

    def listen(self) -> None:
        """Listen from now on."""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def signed(self, how: str, text: str) -> str:
        """Return what the worker makes of ``text``. Raises ComposeError ``compose.sign``."""
        from osbuild_core.exports.compose.errors import ComposeError

        self.say(sign=how, text=text)
        answer = self._signed.get()
        if answer["signed"] is None:
            raise ComposeError(str(answer["reason"]), code="compose.sign")
        return str(answer["signed"])

    def say(self, **message: Any) -> None:
        with self._lock:
            self._outgoing.write(json.dumps(message, default=str) + "\n")
            self._outgoing.flush()

    def wait_for_go(self) -> bool:
        """Tell whether the compose is to be made, once the worker knows."""
        while not self.stopped.is_set():
            try:
                return self._go.get(timeout=0.2)
            except queue.Empty:
                continue
        return False

    def _listen(self) -> None:
        for line in self._incoming:
            message = json.loads(line)
            if "pulse" in message:
                self._deadline = time.monotonic() + float(message["pulse"])
            elif "go" in message:
                self._go.put(bool(message["go"]))
            elif "signed" in message:
                self._signed.put(message)
        _end()

    def _watch(self) -> None:
        while time.monotonic() < self._deadline:
            time.sleep(min(0.5, max(0.01, self._deadline - time.monotonic())))
        # Another worker may have begun the same by now.
        _end()


class WorkersSigner:
    """Has the worker sign, which has the key."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def clear(self, source: Path, target: Path) -> None:
        """Write ``source`` with a signature around it to ``target``. Raises ComposeError ``compose.sign``."""
        target.write_text(self._channel.signed("clear", source.read_text()))

    def detached(self, source: Path, target: Path) -> None:
        """Write the armored signature of ``source`` to ``target``. Raises ComposeError ``compose.sign``."""
        target.write_text(self._channel.signed("detached", source.read_text()))

    def public_key(self) -> str:
        """Return the armored public key. Raises ComposeError ``compose.sign``."""
        return self._channel.signed("key", "")


def _end() -> None:
    """End this process and all that it has started. What is begun then is dropped by the store when next opened."""
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Do the task that standard input has."""
    # Should the worker be gone already, standard input has ended, too.
    die_with_parent()
    # What libraries print is not for the worker.
    outgoing = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    channel = Channel(sys.stdin, outgoing)

    def stop(_number: int, _frame: FrameType | None) -> None:
        channel.stopped.set()
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    if len(sys.argv) > 1:
        threading.Thread(target=_until_cancelled, args=[int(sys.argv[1])], daemon=True).start()
    task = channel.task()
    try:
        outcome = _outcome(task, channel)
    except Stopped:
        outcome = _failed("cancelled", "cancelled")
    # From here on the worker knows, and may be quicker than we are.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if outcome is not None:
        channel.say(**outcome)
    return 0


def _until_cancelled(leash: int) -> None:
    """Do to ourselves what a worker does: the guard has no right to."""
    os.set_inheritable(leash, False)
    os.read(leash, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _outcome(task: dict[str, Any], channel: Channel) -> dict[str, Any] | None:
    """Do the task; return what to say of it, None where there is nothing to say."""
    channel.listen()
    try:
        if task["kind"] == "compose":
            return _compose(task, channel)
        from osbuild_core.server.build_task import build

        return {"done": build(task, lambda kind, data: channel.say(event=kind, data=data))}
    except OsbuildError as error:
        where = f"{place_text(error.place)}: " if error.place else ""
        hint = f" ({error.hint})" if error.hint else ""
        return _failed(error.code, f"{where}{error.detail}{hint}", retryable=error.retryable)
    except OSError as error:
        # A file that is larger than one may be is so the next time, too.
        return _failed("system", str(error), retryable=error.errno != errno.EFBIG)
    except Exception as error:
        import traceback

        traceback.print_exc()
        return _failed("internal", f"internal error: {type(error).__name__}")


def _failed(code: str, detail: str, *, retryable: bool = False) -> dict[str, Any]:
    return {"failed": {"code": code, "detail": detail, "retryable": retryable}}


def _compose(task: dict[str, Any], channel: Channel) -> dict[str, Any] | None:
    from osbuild_core.exports.compose.addresses import is_unlimited
    from osbuild_core.exports.compose.request import from_columns

    generator = importlib.import_module(task["generator"])
    # The worker's own object: reading the settings again would take longer than many a compose.
    settings = pickle.loads(base64.b64decode(task["settings"]))

    if task["signs"]:
        settings = dataclasses.replace(settings, signer=WorkersSigner(channel))
    request = from_columns(task["request"])
    if is_unlimited(settings.allowed_sources):
        return _made(task, channel, generator, request, settings)
    from osbuild_core.exports.compose.gate import gate

    with gate(request, settings) as environment:
        # This process does nothing else.
        os.environ.update(environment)
        return _made(task, channel, generator, request, settings)


def _made(
    task: dict[str, Any], channel: Channel, generator: Any, request: ComposeRequest, settings: ComposeSettings
) -> dict[str, Any] | None:
    from osbuild_core.exports.compose.generate import Place
    from osbuild_core.exports.compose.journal import note_failure
    from osbuild_core.exports.compose.request import columns

    def log(line: str) -> None:
        channel.say(event="log", data={"text": line})

    place = Place(Path(task["target_dir"]), task["id"], task["url"])
    if not task["is_resolved"]:
        try:
            request = generator.resolve(request, settings, log)
        except OsbuildError as error:
            # Who watches the log is to see it, too.
            note_failure(place.directory, error)
            raise
    channel.say(resolved=columns(request))
    if not channel.wait_for_go():
        return None
    result = generator.generate(
        request,
        place,
        settings,
        locked=task["locked"],
        log=log,
        cancelled=channel.stopped.is_set,
    )
    return {
        "done": {
            "pungi_compose_id": result.pungi_compose_id,
            "result_repo": result.result_repo,
            "result_repofile": result.result_repofile,
            "locked": dict(result.locked),
            "arches": list(result.arches),
        }
    }


if __name__ == "__main__":
    sys.exit(main())
