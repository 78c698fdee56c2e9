from collections.abc import Callable
from typing import Any

import pytest

ARGS = {
    "tree": "/run/osbuild/tree",
    "paths": {"mounts": "/run/osbuild/mounts"},
    "mounts": {
        "root": {"path": "/run/osbuild/mounts"},
        "boot": {"path": "/run/osbuild/mounts/boot"},
        "bound": {},
    },
    "inputs": {"data": {"path": "/run/osbuild/inputs/data"}},
}


@pytest.fixture
def parsing(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.parsing")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("1 kB", 1000),
        ("1KiB", 1024),
        (" 2  MB ", 2_000_000),
        ("2MiB", 2 << 20),
        ("3 GB", 3_000_000_000),
        ("3GiB", 3 << 30),
        ("4TB", 4 * 10**12),
        ("4 TiB", 4 << 40),
        ("unlimited", "unlimited"),
    ],
)
def test_sizes(text: str, size: int, parsing: Any) -> None:
    assert parsing.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1.5 GiB", "1 kiB", "1 PB", "1 K", "1 GiB x", "²"])
def test_other_sizes_are_refused(text: str, parsing: Any) -> None:
    with pytest.raises(ValueError):
        parsing.parse_size(text)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("tree:///etc/fstab", "/run/osbuild/tree/etc/fstab"),
        ("tree:///", "/run/osbuild/tree/."),
        ("tree:///etc/", "/run/osbuild/tree/etc/."),
        ("tree:///../../x", "/run/osbuild/tree/x"),
        ("mount://root/etc", "/run/osbuild/mounts/etc"),
        ("mount://boot/", "/run/osbuild/mounts/boot/."),
        ("mount://boot", "/run/osbuild/mounts/boot"),
        ("mount:///boot/x", "/run/osbuild/mounts/boot/x"),
        ("input://data/sha256:0?#%20", "/run/osbuild/inputs/data/sha256:0?#%20"),
        ("input://data//a//b", "/run/osbuild/inputs/data/a/b"),
        ("/etc/../x", "/run/osbuild/tree/x"),
        ("/", "/run/osbuild/tree/."),
    ],
)
def test_locations(location: str, path: str, parsing: Any) -> None:
    assert parsing.parse_location(location, ARGS) == path


def test_a_location_has_two_parts(parsing: Any) -> None:
    assert parsing.parse_location_into_parts("mount://boot/efi/x/", ARGS) == (
        "/run/osbuild/mounts/boot",
        "/efi/x",
    )
    assert parsing.parse_location_into_parts("tree:///", ARGS) == ("/run/osbuild/tree", "/")


@pytest.mark.parametrize(
    "location",
    ["", "etc", "file:///etc", "tree", "tree://name/x", "mount://other/", "mount://bound/", "input:///x"],
)
def test_other_locations_are_refused(location: str, parsing: Any) -> None:
    with pytest.raises(ValueError):
        parsing.parse_location(location, ARGS)
