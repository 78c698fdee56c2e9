from collections.abc import Callable
from typing import Any

import pytest

Sdk = Callable[[str], Any]


def test_what_is_one_line_comes_back(sdk: Sdk) -> None:
    configline = sdk("util.configline")
    assert configline.one_line(" a  b\t\\", "it") == " a  b\t\\"
    assert configline.one_line(12, "it") == "12"
    assert configline.uncontinued("C:\\a\\\\", "it") == "C:\\a\\\\"
    assert configline.word("a:b", "it") == "a:b"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "a\n", "\n"])
@pytest.mark.parametrize("check", ["one_line", "uncontinued", "word"])
def test_what_ends_a_line_is_refused(sdk: Sdk, check: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^the name has to be one line: '"):
        getattr(sdk("util.configline"), check)(text, "the name")


@pytest.mark.parametrize("text", ["\\", "a\\", "a\\\\\\"])
def test_a_line_does_not_take_in_the_next(sdk: Sdk, text: str) -> None:
    with pytest.raises(ValueError, match="next line"):
        sdk("util.configline").uncontinued(text, "it")


@pytest.mark.parametrize("text", ["", " ", "a b", "a\tb", "a\u2028b"])
def test_a_word_has_no_blanks(sdk: Sdk, text: str) -> None:
    with pytest.raises(ValueError, match="it has to be one word"):
        sdk("util.configline").word(text, "it")


def test_comments(sdk: Sdk) -> None:
    comment = sdk("util.configline").comment
    assert comment(["one", "two\nthree\rfour", ""]) == "# one\n# two\n# three\n# four\n#\n"
    assert comment([]) == ""
