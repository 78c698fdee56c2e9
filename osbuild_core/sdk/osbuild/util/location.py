"""Where the files are that a stage's options and inputs name."""

import os

from osbuild.util.parsing import parse_location_into_parts
from osbuild.util.path import resolve


def find(location, args):
    """Return the path of ``location`` (``tree:///PATH``, ``mount://NAME/PATH``, ``input://NAME/PATH``).

    ``args`` are the arguments of the stage. Symbolic links are followed as if the tree, mount or input were the root
    directory. Raises ValueError, naming it, where there is nothing.
    """
    root, path = parse_location_into_parts(location, args)
    found = resolve(root, path)
    if not os.path.exists(found):
        raise ValueError("there is no {}".format(location))
    return found


def only_file(inputs, name="file"):
    """Return the path of the only file of the input ``name``. Raises ValueError where it is not one."""
    files = inputs[name]["data"]["files"]
    if len(files) != 1:
        raise ValueError("the input {!r} has to be one file, it has {}".format(name, len(files)))
    (path,) = files
    return os.path.join(inputs[name]["path"], path)
