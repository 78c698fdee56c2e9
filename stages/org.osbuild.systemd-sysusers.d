#!/usr/bin/python3
"""Declare users and groups of the system, for systemd-sysusers(8)."""

import sys

import osbuild.api
from osbuild.util import dropin
from osbuild.util.configline import one_line

FOLDERS = {"usr": "/usr/lib/sysusers.d", "etc": "/etc/sysusers.d"}
FIELDS = ("type", "name", "id", "gecos", "home", "shell")


def format_field(name, text):
    text = one_line(text, name)
    if text and not any(character.isspace() or character in "\"'\\" for character in text):
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"')) if text else "-"


def check(entry):
    """Raise ValueError for an entry that systemd-sysusers would refuse, which would be at the first boot."""
    kind, name, number = entry["type"], entry["name"], entry.get("id", "-")
    if (kind == "r") != (name == "-"):
        raise ValueError(f"entry of type {kind} cannot have the name {name!r}")
    if kind == "m" and (not number or number == "-" or number[0].isdigit()):
        raise ValueError(f"entry of type m for {name}: the id has to be the name of a group, not {number!r}")
    if kind == "r" and not all(part.isdigit() for part in number.split("-", 1)):
        raise ValueError(f"entry of type r: the id has to be a number or a range of two, not {number!r}")
    # A number, for a user with that of its group or its name after a colon, or a file to take both from.
    first, _, group = number.partition(":")
    if kind in ("u", "u!", "g") and not (
        number in ("", "-") or number.startswith("/") or first.isdigit() or first == "-" and group
    ):
        raise ValueError(f"the id of {name} has to be a number, not {number!r}")
    if kind == "g" and group:
        raise ValueError(f"the id of group {name} has to be one number, not {number!r}")


def main(tree, options):
    config = options["config"]
    lines = []
    for entry in config["entries"]:
        check(entry)
        lines.append(" ".join(format_field(name, entry.get(name, "")) for name in FIELDS) + "\n")
    if lines:
        dropin.write(tree, FOLDERS[config.get("path-prefix", "usr")], config["filename"], "".join(lines))
    return 0


if __name__ == "__main__":
    args = osbuild.api.arguments()
    sys.exit(main(args["tree"], args["options"]))
