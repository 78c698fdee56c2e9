"""Boot entries as the Boot Loader Specification has them: ``loader/entries/*.conf``."""

import glob
import os


def options_append(root_path, kernel_arguments):
    """Add the list ``kernel_arguments`` to the kernel command line of each entry below ``root_path``.

    They come after those of the first ``options`` line; an entry without one gets it. Raises RuntimeError
    where there is no entry.
    """
    pattern = os.path.join(glob.escape(root_path), "loader", "entries", "*.conf")
    entries = sorted(glob.glob(pattern))
    if not entries:
        raise RuntimeError("no boot entry at {}/loader/entries/*.conf".format(root_path))
    for entry in entries:
        _append(entry, " ".join(kernel_arguments))


def _append(path, words):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines):
        if line.split(None, 1)[:1] == ["options"]:
            lines[number] = "{} {}".format(line.rstrip(), words)
            break
    else:
        lines.append("options " + words)
    # In one step, for a reader never to see half an entry; as another file, it needs the first one's mode.
    new = path + ".new"
    with open(new, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
        info = os.stat(path)
        os.fchown(file.fileno(), info.st_uid, info.st_gid)
        os.fchmod(file.fileno(), info.st_mode & 0o7777)
    os.replace(new, path)
