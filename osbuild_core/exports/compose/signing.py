"""Signatures on the metadata of a compose, by gpg on this host: no key enters a tree, a manifest or the store."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from osbuild_core.exports.compose.errors import ComposeError


class Signer:
    """Signs with the key ``key`` (fingerprint, id or user id) of the GnuPG home ``home`` (None: the user's)."""

    def __init__(self, key: str, home: Path | None = None) -> None:
        """Raises ComposeError ``compose.dependency`` where there is no gpg."""
        program = shutil.which("gpg")
        if program is None:
            raise ComposeError(
                "signing needs the program gpg", code="compose.dependency", hint="apt-get install gpg"
            )
        self._key = key
        self._command = [program, "--batch", "--quiet", "--no-tty", "--pinentry-mode", "error"]
        if home is not None:
            self._command += ["--homedir", str(home)]

    def clear(self, source: Path, target: Path) -> None:
        """Write ``source`` with a signature around it to ``target``. Raises ComposeError ``compose.sign``."""
        self._run("--clearsign", "--output", str(target), str(source))

    def detached(self, source: Path, target: Path) -> None:
        """Write the armored signature of ``source`` to ``target``. Raises ComposeError ``compose.sign``."""
        self._run("--armor", "--detach-sign", "--output", str(target), str(source))

    def public_key(self) -> str:
        """Return the armored public key. Raises ComposeError ``compose.sign``."""
        key = self._gpg("--armor", "--export", self._key)
        if not key.strip():
            raise self._failed("there is no such key")
        return key

    def _run(self, *arguments: str) -> None:
        self._gpg("--yes", "--digest-algo", "SHA256", "--local-user", self._key, *arguments)

    def _gpg(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.startswith("gpg: ")]
            raise self._failed(
                lines[-1].removeprefix("gpg: ") if lines else f"gpg ended with {done.returncode}"
            )
        return done.stdout

    def _failed(self, reason: str) -> ComposeError:
        return ComposeError(
            f"cannot sign with the key {self._key!r}: {reason}",
            code="compose.sign",
            hint="is the key in the GnuPG home of the settings, and without a passphrase or known to the agent?",
        )
