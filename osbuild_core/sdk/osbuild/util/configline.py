"""Text from a manifest that becomes part of a line of a configuration file, and must not become another line."""

# What some reader of configuration files takes as the end of a line or of the text.
_ENDS = "\n\r\0"


def one_line(text, what):
    """Return ``text``, a value or anything that str() makes one of. Raises ValueError where it is not one line.

    ``what`` names it in the message.
    """
    text = str(text)
    if any(end in text for end in _ENDS):
        raise ValueError("{} has to be one line: {!r}".format(what, text))
    return text


def uncontinued(text, what):
    """Return ``text`` as :func:`one_line`, for files where a backslash at the end of a line joins the next one."""
    text = one_line(text, what)
    if (len(text) - len(text.rstrip("\\"))) % 2:
        raise ValueError(
            "{} ends with a backslash, which would take in the next line: {!r}".format(what, text)
        )
    return text


def word(text, what):
    """Return ``text``, for files where blanks separate fields. Raises ValueError where it is empty or has one."""
    text = one_line(text, what)
    if not text or any(character.isspace() for character in text):
        raise ValueError("{} has to be one word: {!r}".format(what, text))
    return text


def comment(texts):
    """Return ``texts`` as lines of comment, of which each may be several."""
    lines = [line for text in texts for line in _split(text)]
    return "".join(("# " + line).rstrip() + "\n" for line in lines)


def _split(text):
    for end in _ENDS:
        text = text.replace(end, "\n")
    return text.split("\n")
