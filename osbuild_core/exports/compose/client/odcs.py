"""The class that programs use: ask for composes, wait for them, renew and remove them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from osbuild_core.exports.compose.client.connection import Connection, ServerError, Token
from osbuild_core.exports.compose.client.sources import ComposeSourceGeneric

BUSY = ("wait", "generating")
LOG = "pungi-stderr.log"


class AuthMech:
    """How a client says who it is."""

    OpenIDC = 1
    Kerberos = 2
    Anonymous = 3
    SSL = 4

    @classmethod
    def has(cls, mech: int) -> bool:
        """Tell whether there is such a mechanism."""
        return mech in (cls.OpenIDC, cls.Kerberos, cls.Anonymous, cls.SSL)


class ODCS:
    """A client of the service at ``server_url``.

    ``openidc_token`` goes with ``AuthMech.OpenIDC``: a bearer token, static ones of the service too, or what returns
    one. ``ssl_cert`` and ``ssl_key`` are files that go with ``AuthMech.SSL``. All methods raise ServerError where
    the service refuses or cannot be reached; what they return is the JSON of the service.
    """

    def __init__(
        self,
        server_url: str,
        api_version: str = "1",
        auth_mech: int | None = None,
        openidc_token: Token | None = None,
        ssl_cert: str | None = None,
        ssl_key: str | None = None,
        ssl_verify: bool | str = True,
    ) -> None:
        mech = AuthMech.Anonymous if auth_mech is None else auth_mech
        if not AuthMech.has(mech):
            raise ValueError(f"unknown mechanism {auth_mech!r}")
        if mech == AuthMech.Kerberos:
            raise ValueError("Kerberos is not supported: use AuthMech.OpenIDC with a token, or AuthMech.SSL")
        if mech == AuthMech.OpenIDC and not openidc_token:
            raise ValueError("AuthMech.OpenIDC needs an openidc_token")
        if mech == AuthMech.SSL and not (ssl_cert and ssl_key):
            raise ValueError("AuthMech.SSL needs ssl_cert and ssl_key")
        self.server_url = server_url
        self.api_version = api_version
        self.auth_mech = mech
        self._connection = Connection(
            server_url,
            token=openidc_token if mech == AuthMech.OpenIDC else None,
            certificate=(ssl_cert, ssl_key) if mech == AuthMech.SSL and ssl_cert and ssl_key else None,
            verify=ssl_verify,
        )

    def _path(self, rest: str) -> str:
        return f"api/{self.api_version}/{rest}"

    def new_compose(
        self,
        source: str,
        source_type: str,
        seconds_to_live: int | None = None,
        packages: Iterable[str] | None = None,
        flags: Iterable[str] | None = None,
        sigkeys: Iterable[str] | None = None,
        results: Iterable[str] | None = None,
        arches: Iterable[str] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Ask for a compose. ``more`` are the other parameters of the REST interface, of the source too
        (``builds``, ``koji_event``, ``modular_koji_tags``, …)."""
        parameters = {name: more.pop(name) for name in _SOURCE if name in more}
        chosen = ComposeSourceGeneric(
            source,
            source_type,
            packages=_list(packages),
            sigkeys=_list(sigkeys),
            **{
                name: value if isinstance(value, str | int) else _list(value)
                for name, value in parameters.items()
            },
        )
        return self.request_compose(
            chosen,
            seconds_to_live=seconds_to_live,
            flags=_list(flags),
            results=_list(results),
            arches=_list(arches),
            **more,
        )

    def request_compose(self, source: ComposeSourceGeneric, **parameters: Any) -> dict[str, Any]:
        """Ask for a compose of ``source``; parameters that are None are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        body = {"source": source.document(), **given}
        return self._connection.call("POST", self._path("composes/"), body)

    def get_compose(self, compose_id: int) -> dict[str, Any]:
        """Return a compose."""
        return self._connection.call("GET", self._path(f"composes/{int(compose_id)}"))

    def find_composes(self, **search_criteria: Any) -> dict[str, Any]:
        """Return one page of composes: ``{"items": […], "meta": {…}}``. Criteria are fields, ``order_by``, ``page``
        and ``per_page``."""
        return self._connection.call("GET", self._path("composes/"), query=search_criteria)

    def renew_compose(
        self, compose_id: int, seconds_to_live: int | None = None, label: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Let a compose live longer, or have it made again; the id of what is returned tells which."""
        given = {"seconds_to_live": seconds_to_live, "label": label, **more}
        body = {name: value for name, value in given.items() if value is not None}
        return self._connection.call("PATCH", self._path(f"composes/{int(compose_id)}"), body or None)

    def delete_compose(self, compose_id: int) -> dict[str, Any]:
        """Cancel a compose, or let it expire now."""
        return self._connection.call("DELETE", self._path(f"composes/{int(compose_id)}"))

    def about(self) -> dict[str, Any]:
        """Return what the service says about itself."""
        return self._connection.call("GET", self._path("about/"))

    def wait_for_compose(
        self,
        compose_id: int,
        timeout: float = 300,
        watch_logs: bool = False,
        output: TextIO | None = None,
    ) -> dict[str, Any]:
        """Return a compose when it is done or failed. Raises RuntimeError after ``timeout`` seconds.

        ``watch_logs`` writes its log to ``output`` (standard output), as it grows. A service that is away for a
        moment is asked again.
        """
        end = time.monotonic() + timeout
        pause, read = 0.2, 0
        while True:
            compose = self._patiently(lambda: self.get_compose(compose_id), end)
            if watch_logs:
                read = self._write_log(compose, read, output or sys.stdout)
            if compose["state_name"] not in BUSY:
                return compose
            if time.monotonic() >= end:
                raise RuntimeError(f"compose {compose_id} is not done after {timeout:g} s")
            time.sleep(max(0.0, min(pause, end - time.monotonic())))
            pause = min(pause * 1.5, 5.0)

    def _patiently(self, ask: Callable[[], dict[str, Any]], end: float) -> dict[str, Any]:
        while True:
            try:
                return ask()
            except ServerError as error:
                if not error.retryable or time.monotonic() + 1 >= end:
                    raise
            time.sleep(1)

    def _write_log(self, compose: dict[str, Any], read: int, output: TextIO) -> int:
        if not compose.get("toplevel_url"):
            return read
        address = f"{compose['toplevel_url']}/{LOG}"
        headers = {"Range": f"bytes={read}-"}
        reply = self._connection.response("GET", address, headers=headers, accepted=(200, 206, 404, 416))
        # Nothing new, or nothing yet.
        if reply.status_code in (404, 416):
            return read
        content = reply.content if reply.status_code == 206 else reply.content[read:]
        output.write(content.decode(errors="replace"))
        output.flush()
        return read + len(content)

    def composes(self, **search_criteria: Any) -> Iterator[dict[str, Any]]:
        """Yield all composes that :meth:`find_composes` finds, page after page."""
        page = 1
        while True:
            found = self.find_composes(**{**search_criteria, "page": page})
            yield from found["items"]
            if found["meta"]["next"] is None:
                return
            page += 1

    def repo(self, compose: dict[str, Any]) -> str:
        """Return the text of the ``.repo`` (or ``.sources``) file of a compose that is done."""
        address = compose.get("result_repofile")
        if compose["state_name"] != "done" or not address:
            raise ServerError(
                f"compose {compose['id']} has no file for package managers",
                status=404,
                hint=f"its state is {compose['state_name']}",
            )
        return self._connection.response("GET", str(address)).text


_SOURCE = (
    *(
        "builds",
        "koji_event",
        "modular_koji_tags",
        "module_defaults_url",
        "module_defaults_commit",
        "modules",
    ),
    *("scratch_modules", "scratch_build_tasks", "base_module_br_name", "base_module_br_stream"),
    *("base_module_br_stream_version_lte", "base_module_br_stream_version_gte"),
)


def _list(words: Iterable[str] | None) -> list[str] | None:
    return None if words is None else list(words)
