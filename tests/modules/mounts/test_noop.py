"""org.osbuild.noop, the mount."""

from pathlib import Path

from service_harness import running


def test_there_is_a_directory_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mounts").mkdir()
    with running("mounts", "noop") as service:
        arguments = {
            "source": None,
            "target": "/a/b",
            "root": str(tmp_path / "mounts"),
            "tree": "",
            "options": {"x": 1},
        }
        assert service.call("mount", arguments) == str(tmp_path / "mounts/a/b")
        assert str(tmp_path) not in Path(f"/proc/{service.process.pid}/mountinfo").read_text()
    assert (tmp_path / "mounts/a/b").is_dir()
