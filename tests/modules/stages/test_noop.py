from pathlib import Path

from .harness import ROOT, apply


def test_nothing_happens(tree: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    assert apply("noop", tree, {"any": {"thing": 1}}, inputs={"extra": extra}) == ""
    assert list(tree.iterdir()) == []


def test_it_imports_nothing_that_costs() -> None:
    lines = (ROOT / "stages/org.osbuild.noop").read_text().splitlines()
    imports = [line for line in lines if line.startswith(("import", "from"))]
    assert imports == ["import sys", "import osbuild.api"]
