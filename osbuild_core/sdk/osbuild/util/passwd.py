"""Files of accounts: lines that start with a name and a colon."""

import os
import sys


class PasswdLike:
    """The lines of such a file (/etc/passwd, group, shadow) by name, in their order: ``db``."""

    def __init__(self):
        self.db = {}

    @classmethod
    def from_file(cls, path, allow_missing_file=False):
        """Read the file at ``path``. Raises OSError, unless one that is missing is ``allow_missing_file``."""
        made = cls()
        made.merge_with_file(path, allow_missing_file)
        return made

    def merge_with_file(self, path, allow_missing_file=False):
        """Add those entries of the file at ``path`` whose names are not there yet. Raises OSError."""
        if allow_missing_file and not os.path.isfile(path):
            return
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file.read().splitlines():
                if line:
                    self.db.setdefault(line.partition(":")[0], line + "\n")

    def dump_to_file(self, path):
        """Write all entries to the file at ``path``. Raises OSError."""
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(self.db.values())


class SubIdsDB:
    """The ranges of a file like /etc/subuid: ``db`` is {name: (first id, count)}, as text."""

    def __init__(self):
        self.db = {}

    def read(self, fp):
        """Add the ranges of the open file ``fp``; return how many lines it has. One of another form is left out."""
        lines = fp.read().splitlines()
        for number, line in enumerate(lines, 1):
            parts = line.strip().split(":")
            if len(parts) == 3 and not line.startswith("#"):
                self.db[parts[0]] = (parts[1], parts[2])
            elif line.strip() and not line.startswith("#"):
                print("line {} is no NAME:ID:COUNT and left out: {}".format(number, line), file=sys.stderr)
        return len(lines)

    def read_from(self, path):
        """Add the ranges of the file at ``path``; see :meth:`read`. Raises OSError."""
        with open(path, encoding="utf-8") as file:
            return self.read(file)

    def dumps(self):
        return "".join("{}:{}:{}\n".format(name, *ids) for name, ids in self.db.items())

    def write_to(self, path):
        """Write all ranges to the file at ``path``. Raises OSError."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.dumps())

    def __bool__(self):
        return bool(self.db)
