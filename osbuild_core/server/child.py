"""The worker as a child of a server: ``python -m osbuild_core.server.child NAME``, settings on standard input."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from osbuild_core.server import log
from osbuild_core.server.settings import ServerSettings
from osbuild_core.server.worker import work


def _line() -> bytes:
    """Return the first line of standard input and nothing after it, which is for others."""
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            break
        data += part
    return data


def main(argv: list[str]) -> int:
    """Work until the server ends."""
    line = _line()
    if not line:
        return 1
    settings = ServerSettings(**json.loads(line))
    log.set_up(settings.log_format)
    asyncio.run(work(settings, name=argv[0], child=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
