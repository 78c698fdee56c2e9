from pathlib import Path

from .harness import apply, mode_of, refuse

ENTRY = "title Linux\nlinux /vmlinuz\noptions root=UUID=1 ro\noptions quiet \ninitrd /initrd\n"


def entry(root: Path, name: str, text: str = ENTRY) -> Path:
    path = root / "loader/entries" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_entries_of_the_tree(tree: Path) -> None:
    one = entry(tree / "boot", "a.conf")
    one.chmod(0o600)
    two = entry(tree / "boot", "b.conf", "linux /vmlinuz")
    other = entry(tree / "boot", "c.txt")
    apply("kernel-cmdline.bls-append", tree, {"kernel_opts": ["console=ttyS0", "net.ifnames=0"]})
    assert one.read_text() == ENTRY.replace("quiet ", "quiet console=ttyS0 net.ifnames=0")
    assert two.read_text() == "linux /vmlinuz\noptions console=ttyS0 net.ifnames=0\n"
    assert other.read_text() == ENTRY
    assert mode_of(one) == 0o600


def test_entries_of_a_mount(tree: Path, tmp_path: Path) -> None:
    boot = tmp_path / "disk"
    path = entry(boot, "a.conf")
    options = {"kernel_opts": ["x=1"], "bootpath": "mount:///boot"}
    apply("kernel-cmdline.bls-append", tree, options, mounts={"boot": boot})
    assert "options quiet x=1\n" in path.read_text()


def test_a_link_of_the_loader_stays_in_the_tree(tree: Path) -> None:
    path = entry(tree / "boot", "a.conf")
    (tree / "boot/loader").rename(tree / "boot/loader.0")
    (tree / "boot/loader").symlink_to("/boot/loader.0")
    apply("kernel-cmdline.bls-append", tree, {"kernel_opts": ["x=1"]})
    moved = tree / "boot/loader.0" / path.relative_to(tree / "boot/loader")
    assert "options quiet x=1\n" in moved.read_text()


def test_no_entries(tree: Path) -> None:
    log = refuse("kernel-cmdline.bls-append", tree, {"kernel_opts": ["x=1"]})
    assert "no boot entries (loader/entries/*.conf) in tree:///boot" in log


def test_an_option_cannot_bring_another_line(tree: Path) -> None:
    path = entry(tree / "boot", "a.conf")
    refuse("kernel-cmdline.bls-append", tree, {"kernel_opts": ["x=1\ninitrd /evil"]})
    assert path.read_text() == ENTRY
