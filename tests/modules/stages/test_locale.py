from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_the_language_is_written(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/locale.conf").write_text("LANG=old\n")
    apply("locale", tree, {"language": "en_US.UTF-8"})
    assert (tree / "etc/locale.conf").read_text() == "LANG=en_US.UTF-8\n"
    assert mode_of(tree / "etc/locale.conf") == 0o644
    assert not (tree / "etc/default").exists()


def test_debian_reads_another_file_too(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/debian_version").touch()
    apply("locale", tree, {"language": "de_DE@euro"})
    for name in ("etc/locale.conf", "etc/default/locale"):
        assert (tree / name).read_text() == "LANG=de_DE@euro\n"


def test_a_newer_debian_has_a_link(tree: Path) -> None:
    (tree / "etc/default").mkdir(parents=True)
    (tree / "etc/debian_version").touch()
    (tree / "etc/default/locale").symlink_to("../locale.conf")
    apply("locale", tree, {"language": "C.UTF-8"})
    assert (tree / "etc/default/locale").is_symlink()
    assert (tree / "etc/locale.conf").read_text() == "LANG=C.UTF-8\n"


@pytest.mark.parametrize("language", ["", "a b", "../x", 'x"; echo', "x\n"])
def test_bad_locales_are_refused(tree: Path, language: str) -> None:
    assert "not a locale" in refuse("locale", tree, {"language": language})
