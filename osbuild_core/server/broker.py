"""The broker, which only wakes workers: the database is the queue, so a lost message or broker costs time alone.

By kombu, the messaging layer of Celery: one message to all workers, kept by nobody. Celery's own worker would be a
second queue beside the database, with acknowledgements of its own, and its main loop a second one beside ours.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from osbuild_core.model.errors import UsageError

if TYPE_CHECKING:
    from kombu import Connection

log = logging.getLogger("osbuild_core.server.broker")
SCHEMES = {"amqp": "amqp", "amqps": "amqp", "redis": "redis", "rediss": "redis"}
"""Of addresses, each with the library that speaks it."""

EXCHANGE = "osbuild-core.wake"
CONNECT = 5.0
"""Seconds for reaching the broker."""
LOOK = 1.0
"""Seconds between looks at whether to end."""
AGAIN = (0.5, 2.0, 5.0, 10.0)
"""Seconds before a broker is tried again that is not there."""


def check(url: str) -> None:
    """Raise UsageError where what speaks to such a broker is not installed."""
    for library in ("kombu", SCHEMES[urlsplit(url).scheme]):
        try:
            importlib.import_module(library)
        except ImportError as error:
            hint = "pip install " + (
                "'osbuild-core[redis]'" if library == "redis" else "'osbuild-core[server]'"
            )
            raise UsageError(
                f"the broker needs the library {library}", code="server.broker", hint=hint
            ) from error


class _Link:
    """A thread with a connection to the broker, made anew as long as that takes."""

    def __init__(self, url: str) -> None:
        check(url)
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._failures = 0
        self._thread.start()

    def close(self) -> None:
        """End; does not wait long for a broker that does not answer."""
        self._over.set()
        self._thread.join(2 * LOOK)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with _connected(self._url) as connection:
                    self._failures = 0
                    self._use(connection)
            except Exception as error:
                if self._failures == 0 and not self._over.is_set():
                    # Its text may have the address in it, and that the password.
                    log.warning("the broker is not there", extra={"data": {"error": type(error).__name__}})
                self._over.wait(AGAIN[min(self._failures, len(AGAIN) - 1)])
                self._failures += 1

    def _use(self, connection: Connection) -> None:
        raise NotImplementedError


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    from kombu import Connection

    # Redis: what waits in a socket ends with it, however long the broker is silent.
    options = {"socket_connect_timeout": CONNECT, "socket_keepalive": True} if url.startswith("redis") else {}
    connection = Connection(url, connect_timeout=CONNECT, transport_options=options)
    try:
        connection.connect()
        yield connection
    finally:
        with suppress(Exception):
            connection.release()


def _exchange() -> Any:
    from kombu import Exchange

    return Exchange(EXCHANGE, type="fanout", durable=False, delivery_mode="transient")


class Bell(_Link):
    """Wakes all workers."""

    def __init__(self, url: str) -> None:
        self._rung = threading.Event()
        super().__init__(url)

    def ring(self) -> None:
        """Have all workers look into the database; returns at once, and one message may stand for many."""
        self._rung.set()

    def close(self) -> None:
        """End."""
        self._over.set()
        self._rung.set()
        super().close()

    def _use(self, connection: Connection) -> None:
        from kombu import Producer

        producer = Producer(connection.channel(), exchange=_exchange(), auto_declare=True)
        while True:
            self._rung.wait()
            if self._over.is_set():
                return
            self._rung.clear()
            try:
                producer.publish({}, retry=False)
            except Exception:
                self._rung.set()
                raise


class Ear(_Link):
    """Calls ``wake``, from a thread of its own, when a bell is rung, and when it has missed what was."""

    def __init__(self, url: str, name: str, wake: Callable[[], None]) -> None:
        self._name = name
        self._wake = wake
        super().__init__(url)

    def _use(self, connection: Connection) -> None:
        from kombu import Consumer, Queue

        # One message tells all that there is to tell.
        queue = Queue(
            f"{EXCHANGE}.{self._name}",
            _exchange(),
            durable=False,
            exclusive=True,
            auto_delete=True,
            max_length=1,
        )
        with Consumer(connection.channel(), [queue], on_message=lambda _: self._wake(), no_ack=True):
            self._wake()
            while not self._over.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=LOOK)
