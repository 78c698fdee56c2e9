import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def passwd(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.passwd")


def test_files_are_merged_by_name(tmp_path: Path, passwd: Any) -> None:
    (tmp_path / "one").write_text("root:x:0:0\nbin:x:1:1\n")
    (tmp_path / "two").write_bytes(b"bin:x:9:9\n\nadm\xff:x:3:4")
    merged = passwd.PasswdLike.from_file(tmp_path / "one")
    merged.merge_with_file(tmp_path / "two")
    merged.merge_with_file(tmp_path / "none", allow_missing_file=True)
    merged.dump_to_file(tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"root:x:0:0\nbin:x:1:1\nadm\xff:x:3:4\n"
    assert passwd.PasswdLike.from_file(tmp_path / "none", allow_missing_file=True).db == {}
    with pytest.raises(FileNotFoundError):
        passwd.PasswdLike.from_file(tmp_path / "none")


def test_ranges_of_ids(tmp_path: Path, passwd: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ids = passwd.SubIdsDB()
    assert not ids
    assert ids.read(io.StringIO("# comment\n\nann:100000:65536\nbroken:1\n")) == 4
    assert "line 4" in capsys.readouterr().err
    (tmp_path / "subuid").write_text("bob:200000:65536\nann:300000:10\n")
    ids.read_from(tmp_path / "subuid")
    assert ids
    ids.write_to(tmp_path / "new")
    assert (tmp_path / "new").read_text() == "ann:300000:10\nbob:200000:65536\n" == ids.dumps()
