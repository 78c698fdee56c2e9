from pathlib import Path

from .harness import apply, mode_of, refuse


def test_octal_and_symbolic(tree: Path) -> None:
    for name in ("a", "b"):
        (tree / name).touch(mode=0o644)
    apply("chmod", tree, {"items": {"/a": {"mode": "4755"}, "/b": {"mode": "-r"}}})
    assert mode_of(tree / "a") == 0o4755
    assert mode_of(tree / "b") == 0o200


def test_recursive_only_where_asked(tree: Path) -> None:
    for name in ("one", "all"):
        (tree / name / "sub").mkdir(parents=True)
        (tree / name / "sub/file").touch(mode=0o644)
    apply("chmod", tree, {"items": {"/one": {"mode": "0700"}, "/all": {"mode": "0700", "recursive": True}}})
    assert mode_of(tree / "one") == 0o700
    assert mode_of(tree / "one/sub/file") == 0o644
    assert mode_of(tree / "all/sub/file") == 0o700


def test_links_do_not_lead_out(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(mode=0o644)
    (tree / "link").symlink_to(outside)
    assert "there is no /link" in refuse("chmod", tree, {"items": {"/link": {"mode": "0777"}}})
    assert mode_of(outside) == 0o644


def test_a_bad_mode_fails(tree: Path) -> None:
    (tree / "a").touch()
    assert "invalid mode" in refuse("chmod", tree, {"items": {"/a": {"mode": "99"}}})
