"""Files of sections: ``[name]``, then lines of ``key=value``."""

from osbuild.util.configline import one_line

_COMMENTS = ("#", ";")


def header(name):
    """Return the line that starts the section ``name``. Raises ValueError for a name that it cannot have."""
    name = one_line(name, "a section's name")
    if not name or "[" in name or "]" in name:
        raise ValueError("not the name of a section: {!r}".format(name))
    return "[{}]".format(name)


def setting(key, value):
    """Return the line that sets ``key``. Raises ValueError for a key or a value that it cannot have."""
    key = one_line(key, "a setting's name")
    if not key or key != key.strip() or "=" in key or key.startswith(_COMMENTS + ("[",)):
        raise ValueError("not the name of a setting: {!r}".format(key))
    return "{}={}".format(key, one_line(value, key))


def format_sections(sections):
    """Return the text of a file with ``sections``: pairs of a name and pairs of key and value."""
    blocks = []
    for name, settings in sections:
        lines = [header(name)] + [setting(key, value) for key, value in settings]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def change(text, section, settings):
    """Return ``text``, the content of such a file, with ``settings`` (a dict) in ``section``.

    A setting goes where it is already, else to the end of its section, and a section that is missing to the end
    of the file. Everything else stays, comments too. Raises ValueError as :func:`setting`.
    """
    blocks = _split(text)
    if section not in [name for name, _ in blocks]:
        gap = [""] if text.strip() else []
        blocks.append((section, gap + [header(section)]))
    missing = dict(settings)
    result = []
    for name, lines in blocks:
        result.append((name, _replace(lines, settings, missing) if name == section else lines))
    _append(next(lines for name, lines in result if name == section), missing)
    return "".join(line + "\n" for _, lines in result for line in lines)


def _split(text):
    """Return the lines of ``text`` by section: pairs of a name, at first None, and lines with that of the name."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    blocks = [(None, [])]  # type: list
    for line in lines:
        if line.startswith("["):
            blocks.append((line[1:].partition("]")[0].strip(), []))
        blocks[-1][1].append(line)
    return blocks


def _replace(lines, settings, missing):
    """Return ``lines`` of a section with the ``settings`` that are set there, and take those out of ``missing``.

    A value that goes takes along the lines that continue it, which start with a blank. What is set once more goes:
    it would win over what was changed.
    """
    result = []
    dropping = False
    for line in lines:
        if dropping and line[:1].isspace() and line.strip():
            continue
        key = _key_of(line)
        dropping = key in settings
        if not dropping:
            result.append(line)
        elif key in missing:
            result.append(setting(key, missing.pop(key)))
    return result


def _append(lines, settings):
    """Add ``settings`` after the last line that says something."""
    place = len(lines)
    while not lines[place - 1].strip():
        place -= 1
    lines[place:place] = [setting(key, value) for key, value in settings.items()]


def _key_of(line):
    """Return what ``line`` sets, or None."""
    if line[:1].isspace() or line.startswith(_COMMENTS + ("[",)):
        return None
    key, sign, _ = line.partition("=")
    return key.strip() if sign else None
