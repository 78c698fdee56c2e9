from pathlib import Path

from .harness import apply, refuse

LANGPACKS = "etc/yum/pluginconf.d/langpacks.conf"


def test_new_files(tree: Path) -> None:
    plugins = {"langpacks": {"locales": ["en_US.UTF-8", "de_DE.UTF-8"]}}
    apply("yum.config", tree, {"config": {"http_caching": "lazy:packages"}, "plugins": plugins})
    assert (tree / "etc/yum.conf").read_text() == "[main]\nhttp_caching=lazy:packages\n"
    assert (tree / LANGPACKS).read_text() == "[main]\nlangpack_locales=en_US.UTF-8, de_DE.UTF-8\n"


def test_what_is_there_stays(tree: Path) -> None:
    (tree / LANGPACKS).parent.mkdir(parents=True)
    (tree / LANGPACKS).write_text("[main]\nenabled=1\nlangpack_locales = ja_JP,\n   zh_CN\n# end\n")
    apply("yum.config", tree, {"plugins": {"langpacks": {"locales": ["fr_FR"]}}})
    assert (tree / LANGPACKS).read_text() == "[main]\nenabled=1\nlangpack_locales=fr_FR\n# end\n"
    assert not (tree / "etc/yum.conf").exists()


def test_a_value_cannot_bring_another_line(tree: Path) -> None:
    options = {"plugins": {"langpacks": {"locales": ["fr_FR\nenabled=0"]}}}
    assert "a locale has to be one line" in refuse("yum.config", tree, options)
    assert list(tree.iterdir()) == []
