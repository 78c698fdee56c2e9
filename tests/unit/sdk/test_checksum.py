import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("length", [0, 5, 3_000_000])
def test_files_are_verified(algorithm: str, length: int, tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * length)
    digest = hashlib.new(algorithm, b"x" * length).hexdigest()
    checksum = sdk("util.checksum")
    assert checksum.hexdigest_file(str(path), algorithm) == digest
    assert checksum.verify_file(str(path), f"{algorithm}:{digest}")
    assert checksum.verify_file(str(path), f"{algorithm}:{digest.upper()}")
    assert not checksum.verify_file(str(path), f"{algorithm}:{digest[::-1]}0")


def test_nonsense_is_refused(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    (tmp_path / "file").touch()
    for text in ("0" * 64, "crc:00"):
        with pytest.raises(ValueError):
            sdk("util.checksum").verify_file(str(tmp_path / "file"), text)
