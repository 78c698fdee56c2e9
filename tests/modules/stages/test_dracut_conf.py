import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_the_file(tree: Path) -> None:
    config = {
        "compress": "xz",
        "add_drivers": ["virtio_blk", "virtio_net"],
        "dracutmodules": [],
        "early_microcode": False,
        "reproducible": True,
    }
    apply("dracut.conf", tree, {"filename": "x.conf", "config": config})
    path = tree / "usr/lib/dracut/dracut.conf.d/x.conf"
    assert path.read_text() == (
        'compress="xz"\nadd_drivers+=" virtio_blk virtio_net "\ndracutmodules+=" "\n'
        'early_microcode="no"\nreproducible="yes"\n'
    )
    assert mode_of(path) == 0o644


def test_a_shell_reads_the_values_back(tree: Path) -> None:
    config = {"install_items": ["/a", '/b"$HOME`id`\\'], "compress": "cat $(id)"}
    apply("dracut.conf", tree, {"filename": "x.conf", "config": config})
    script = f'install_items=" /first "; . "{tree}/usr/lib/dracut/dracut.conf.d/x.conf"; '
    script += 'printf "%s|%s" "$install_items" "$compress"'
    result = subprocess.run(["bash", "-ec", script], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout == ' /first  /a /b"$HOME`id`\\ |cat $(id)'


@pytest.mark.parametrize(
    "config", [{"compress": "xz\nX=1"}, {"add_drivers": ["a b"]}, {"drivers": ["a\nX=1"]}]
)
def test_a_value_cannot_be_two(tree: Path, config: dict[str, object]) -> None:
    refuse("dracut.conf", tree, {"filename": "x.conf", "config": config})
    assert list(tree.iterdir()) == []
