"""Keys for signatures, in GnuPG homes that are thrown away."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Key:
    """A key without a passphrase in ``home``; ``public`` is the file with its armored public part."""

    home: Path
    user: str
    fingerprint: str
    public: Path

    @property
    def id(self) -> str:
        """What packages and requests call it: the last eight digits."""
        return self.fingerprint[-8:].lower()


def make(home: Path, user: str = "archive@example.org", algorithm: str = "ed25519") -> Key:
    """Make a key in the new directory ``home``. Whoever makes it calls :func:`end`."""
    home.mkdir(mode=0o700, parents=True)
    gpg = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ]
    subprocess.run([*gpg, "--quick-generate-key", user, algorithm], check=True, capture_output=True)
    listed = subprocess.run(
        [*gpg, "--with-colons", "--list-keys", user], check=True, capture_output=True, text=True
    ).stdout
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    public = home / "public.asc"
    armored = subprocess.run([*gpg, "--armor", "--export", user], check=True, capture_output=True).stdout
    public.write_bytes(armored)
    return Key(home, user, fingerprint, public)


def end(key: Key) -> None:
    """End the agent that gpg has started for the home of ``key``."""
    subprocess.run(["gpgconf", "--homedir", str(key.home), "--kill", "gpg-agent"], check=True)


def clearsign(key: Key, source: Path, target: Path) -> None:
    """Sign a file as archives do."""
    gpg = ["gpg", "--homedir", str(key.home), "--batch", "--quiet", "--yes", "--local-user", key.user]
    subprocess.run([*gpg, "--clearsign", "-o", str(target), str(source)], check=True, capture_output=True)
