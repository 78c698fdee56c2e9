"""Variables of the environment that name proxies: those of the machine, and of our gate."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from osbuild_core.exports.compose.errors import ComposeError

PROXY = "OSBUILD_SOURCES_CURL_PROXY"
_VARIABLES = (
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY"),
)


def environment(port: int) -> dict[str, str]:
    """Return the environment for programs whose gate is at ``port`` of loopback."""
    return {**dict.fromkeys(_VARIABLES, f"http://127.0.0.1:{port}"), "no_proxy": "", "NO_PROXY": ""}


def without_proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Return ``variables`` without those that name proxies of the machine, which may have passwords in them."""
    return {
        name: value
        for name, value in variables.items()
        if name not in (*_VARIABLES, "no_proxy", "NO_PROXY", PROXY)
    }


def of_machine(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies of the machine by what they are for. Raises ComposeError."""
    found = {}
    for scheme in ("http", "https", "all"):
        # Not HTTP_PROXY, as curl has it: to programs behind a web server anybody could say that.
        upper = variables.get(f"{scheme}_proxy".upper()) if scheme != "http" else None
        if value := variables.get(f"{scheme}_proxy") or upper:
            found[scheme] = value
    if not found and (value := variables.get(PROXY)):
        found["all"] = value
    for scheme, value in found.items():
        found[scheme] = value if "://" in value else f"http://{value}"
        try:
            known = urlsplit(found[scheme]).scheme == "http" and urlsplit(found[scheme]).port != 0
        except ValueError:
            known = False
        if not known:
            raise ComposeError(
                "the proxy of the worker's environment is not one that the gate can use",
                code="compose.source",
                hint="whoever runs this names one that begins with http://",
            )
    return found
