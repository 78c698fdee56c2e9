import tomllib
from pathlib import Path

from .harness import apply, mode_of, refuse

BASE = """\
# A comment
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"

[storage.options]
additionalimagestores = [
"/usr/lib/containers/storage",
]

[storage.options.overlay]
mountopt = "nodev,metacopy=on"
"""


def load(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text())


def test_a_new_file(tree: Path) -> None:
    config = {"storage": {"transient_store": True, "runroot": '/run/"x"\n'}}
    apply("containers.storage.conf", tree, {"config": config, "comment": ["One", "two\nthree"]})
    path = tree / "etc/containers/storage.conf"
    assert load(path) == config
    assert path.read_text().startswith("# One\n# two\n# three\n\n")
    assert (mode_of(path), mode_of(path.parent)) == (0o644, 0o755)


def test_what_is_there_stays(tree: Path) -> None:
    path = tree / "usr/share/containers/storage.conf"
    path.parent.mkdir(parents=True)
    path.write_text(BASE)
    path.chmod(0o600)
    options = {
        "filename": "/usr/share/containers/storage.conf",
        "config": {
            "storage": {
                "driver": "vfs",
                "options": {
                    "additionalimagestores": ["/other"],
                    "pull_options": {"use_hard_links": "true"},
                },
            }
        },
    }
    apply("containers.storage.conf", tree, options)
    assert load(path) == {
        "storage": {
            "driver": "vfs",
            "graphroot": "/var/lib/containers/storage",
            "options": {
                "additionalimagestores": ["/other"],
                "overlay": {"mountopt": "nodev,metacopy=on"},
                "pull_options": {"use_hard_links": "true"},
            },
        }
    }
    assert mode_of(path) == 0o600


def test_another_file_to_begin_with(tree: Path) -> None:
    base = tree / "usr/share/containers/storage.conf"
    base.parent.mkdir(parents=True)
    base.write_text(BASE)
    (tree / "etc/containers").mkdir(parents=True)
    (tree / "etc/containers/storage.conf").write_text("[storage]\nrunroot = '/gone'\n")
    options = {"filebase": "/usr/share/containers/storage.conf", "config": {"storage": {"driver": "vfs"}}}
    apply("containers.storage.conf", tree, options)
    storage = load(tree / "etc/containers/storage.conf")["storage"]
    assert isinstance(storage, dict)
    assert (storage["driver"], "runroot" in storage, "graphroot" in storage) == ("vfs", False, True)
    assert base.read_text() == BASE


def test_what_cannot_be_read(tree: Path) -> None:
    options: dict[str, object] = {"filebase": "/missing", "config": {"storage": {"driver": "vfs"}}}
    assert "there is no /missing in the tree" in refuse("containers.storage.conf", tree, options)
    (tree / "missing").write_text("[storage")
    assert "missing: " in refuse("containers.storage.conf", tree, options)
    (tree / "missing").write_text("storage = 1")
    assert "storage is not a table" in refuse("containers.storage.conf", tree, options)
