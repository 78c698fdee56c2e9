from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

COMMIT = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
ROOT = {"uuid": "6264d520-3fb9-423f-8ab8-7a0a8e3d3562", "path": "/", "vfs_type": "ext4"}
LINE = "UUID=6264d520-3fb9-423f-8ab8-7a0a8e3d3562\t/\text4\tdefaults\t0\t0\n"


def test_each_way_of_naming_a_file_system(tree: Path) -> None:
    filesystems = [
        {**ROOT, "options": "ro,noatime", "freq": 1, "passno": 1},
        {"label": "boot", "path": "/boot", "vfs_type": "vfat"},
        {"partlabel": "data", "path": "/srv"},
        {"device": "tmpfs", "path": "/tmp", "vfs_type": "tmpfs"},
    ]
    apply("fstab", tree, {"filesystems": filesystems})
    assert (tree / "etc/fstab").read_text() == (
        "UUID=6264d520-3fb9-423f-8ab8-7a0a8e3d3562\t/\text4\tro,noatime\t1\t1\n"
        "LABEL=boot\t/boot\tvfat\tdefaults\t0\t0\n"
        "PARTLABEL=data\t/srv\tnone\tdefaults\t0\t0\n"
        "tmpfs\t/tmp\ttmpfs\tdefaults\t0\t0\n"
    )
    assert mode_of(tree / "etc/fstab") == 0o644


def test_what_was_there_is_replaced(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/fstab").write_text("old")
    apply("fstab", tree, {"filesystems": [ROOT]})
    assert (tree / "etc/fstab").read_text() == LINE


def test_blanks_are_written_as_numbers(tree: Path) -> None:
    apply("fstab", tree, {"filesystems": [{"label": "my disk", "path": "/a\tb\\c"}]})
    assert (tree / "etc/fstab").read_text().startswith("LABEL=my\\040disk\t/a\\011b\\134c\t")


@pytest.fixture
def ostree(tree: Path) -> Path:
    refs = tree / "ostree/repo/refs"
    (refs / "heads/os").mkdir(parents=True)
    (refs / "heads/os/stable").write_text(COMMIT + "\n")
    (refs / "remotes/upstream/os").mkdir(parents=True)
    (refs / "remotes/upstream/os/stable").write_text(OTHER + "\n")
    for commit in (f"{COMMIT}.0", f"{COMMIT}.1"):
        (tree / "ostree/deploy/myos/deploy" / commit / "etc").mkdir(parents=True)
    return tree


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        ({"osname": "myos", "ref": "os/stable"}, f"{COMMIT}.0"),
        ({"osname": "myos", "ref": COMMIT}, f"{COMMIT}.0"),
        ({"osname": "myos", "ref": "os/stable", "serial": 1}, f"{COMMIT}.1"),
        ({"default": True}, f"{COMMIT}.0"),
    ],
)
def test_an_ostree_deployment(ostree: Path, deployment: dict[str, object], expected: str) -> None:
    apply("fstab", ostree, {"filesystems": [ROOT], "ostree": {"deployment": deployment}})
    written = [path.relative_to(ostree) for path in ostree.rglob("fstab")]
    assert written == [Path("ostree/deploy/myos/deploy", expected, "etc/fstab")]


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        ({"osname": "myos", "ref": "os/other"}, "no ostree ref os/other"),
        (
            {"osname": "myos", "ref": "upstream:os/stable"},
            f"no ostree deployment /ostree/deploy/myos/deploy/{OTHER}.0",
        ),
    ],
)
def test_a_deployment_that_is_not_there(ostree: Path, deployment: dict[str, object], said: str) -> None:
    assert said in refuse("fstab", ostree, {"filesystems": [ROOT], "ostree": {"deployment": deployment}})


def test_the_default_deployment_has_to_be_the_only_one(ostree: Path) -> None:
    (ostree / "ostree/deploy/second/deploy" / f"{OTHER}.0").mkdir(parents=True)
    options = {"filesystems": [ROOT], "ostree": {"deployment": {"default": True}}}
    assert "2 ostree deployments" in refuse("fstab", ostree, options)
