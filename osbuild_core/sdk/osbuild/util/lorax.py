"""Lorax's templates: lists of commands that change a tree, as installation images are made with."""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess

from osbuild.util.path import resolve
from osbuild.util.treefile import ensure_folder

_KERNEL_MODULES = "/lib/modules/*/kernel/"


def render_template(path, args):
    """Return the commands of the template at ``path``, each a list of words, with the variables ``args``.

    Words with braces (``a{b,c}``) become several. Needs the package mako. Raises OSError, ImportError.
    """
    import mako.template

    with open(path, encoding="utf-8") as file:
        text = mako.template.Template(text=file.read(), filename=path).render(**args)
    lines = [line.strip() for line in text.splitlines()]
    commands = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    return [[word for words in command for word in brace_expand(words)] for command in commands]


def brace_expand(word):
    """Return the words that ``word`` means: ``a{b,c}`` is ``ab`` and ``ac``. Braces may be in braces."""
    start = word.find("{")
    while start >= 0:
        choices, end = _choices(word, start)
        if len(choices) > 1:
            words = [before for choice in choices for before in brace_expand(choice)]
            return [word[:start] + one + rest for one in words for rest in brace_expand(word[end:])]
        start = word.find("{", start + 1)
    return [word]


def _choices(word, start):
    """Return what is between the commas of the braces at ``start``, and the place behind them; [] if never closed."""
    choices, begin, depth = [], start + 1, 0
    for place in range(start, len(word)):
        depth += {"{": 1, "}": -1}.get(word[place], 0)
        if depth == 0 or (depth == 1 and word[place] == ","):
            choices.append(word[begin:place])
            begin = place + 1
        if depth == 0:
            return choices, begin
    return [], begin


class Script:
    """Commands as :func:`render_template` returns them, to be run on ``tree``; ``build`` is where files come from.

    ``Script(commands, build, tree)()`` runs them. Paths with ``*`` and the like stand for all files that match; none
    of them leads out of the tree. A command that fails raises what it met (OSError, ValueError, CalledProcessError),
    unless a ``-`` is before its name.
    """

    COMMANDS = (
        "append",
        "install",
        "mkdir",
        "move",
        "remove",
        "removefrom",
        "removekmod",
        "removepkg",
        "replace",
        "runcmd",
        "symlink",
        "systemctl",
    )

    def __init__(self, script, build, tree):
        self.script = script
        self.build = build
        self.tree = tree
        self._packages = None

    def __call__(self):
        for number, words in enumerate(self.script, 1):
            name = words[0].lstrip("-")
            if name not in self.COMMANDS:
                raise ValueError("command {}: there is no {!r}".format(number, name))
            print(" ".join(words))
            try:
                getattr(self, name)(*words[1:])
            except Exception as error:
                if words[0].startswith("-"):
                    print("ignored: {}".format(error))
                    continue
                print("command {} failed: {}".format(number, " ".join(words)))
                raise

    def append(self, filename, data):
        """Add ``data``, in which backslashes mean what they do in Python, and a newline to a file."""
        target = self._target(filename)
        # Only what is escaped is to change, and not text beyond ASCII.
        text = re.sub(r"\\(x..|u....|.)", lambda m: m.group().encode().decode("unicode_escape"), data)
        with open(target, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def install(self, src, dst):
        """Copy files of ``build`` into the tree."""
        sources = find(self.build, src)
        if not sources:
            raise OSError("nothing matches {}".format(src))
        for source in sources:
            target = self._target(dst)
            if not (os.path.exists(target) and os.path.samefile(source, target)):
                shutil.copy2(source, target)

    def mkdir(self, *dirs):
        for path in dirs:
            ensure_folder(self.tree, path)

    def move(self, src, dst):
        source, target = resolve(self.tree, src, follow=False), resolve(self.tree, dst)
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(source))
        os.rename(source, target)

    def remove(self, *files):
        for pattern in files:
            for path in find(self.tree, pattern):
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)

    def removepkg(self, *pkgs):
        """Remove the files, but not the directories, of the packages that match."""
        for pattern in pkgs:
            self.remove(*self._escaped(self._files_of(pattern)))

    def removefrom(self, pkg, *globs):
        """Remove those files of a package that match; after ``--allbut`` those that do not."""
        keep = globs[:1] == ("--allbut",)
        files = self._files_of(pkg)
        matching = {path for path in files if any(fnmatch.fnmatch(path, g) for g in globs[keep:])}
        self.remove(*self._escaped(files - matching if keep else matching))

    def removekmod(self, *globs):
        """Remove kernel modules below directories that match; after ``--allbut`` come parts of paths to keep."""
        kept = []
        if "--allbut" in globs:
            place = globs.index("--allbut")
            globs, kept = globs[:place], globs[place + 1 :]
            if not globs or not kept:
                raise ValueError("removekmod needs something before and after --allbut")
        for pattern in globs:
            for top in find(self.tree, _KERNEL_MODULES + pattern):
                for folder, _, files in os.walk(top):
                    for path in (os.path.join(folder, name) for name in files):
                        if not any(fnmatch.fnmatch(path, "*{}*".format(part)) for part in kept):
                            os.unlink(path)

    def replace(self, pat, repl, *files):
        """Replace what matches the regular expression ``pat`` in each line of files."""
        paths = [path for pattern in files for path in find(self.tree, pattern)]
        if not paths:
            raise ValueError("nothing matches {}".format(" ".join(files)))
        for path in paths:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = "".join(re.sub(pat, repl, line) for line in file)
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)

    def runcmd(self, *args):
        """Run a program of the build root, with the tree as its working directory."""
        subprocess.run(args, cwd=self.tree, check=True, stdin=subprocess.DEVNULL)

    def symlink(self, source, dest):
        target = resolve(self.tree, dest, follow=False)
        if os.path.lexists(target):
            self.remove(*self._escaped([dest]))
        os.symlink(source, target)

    def systemctl(self, verb, *units):
        """Enable, disable or mask units; one that is not there is left out."""
        if verb not in ("enable", "disable", "mask"):
            raise ValueError("systemctl enables, disables and masks, it does not {}".format(verb))
        self.mkdir("/run/systemd/system")
        for unit in units:
            subprocess.run(["systemctl", "--root", self.tree, "--no-reload", verb, unit], check=False)

    def _target(self, path):
        """Return where a file of the tree is, outside; its directory is made if need be."""
        target = resolve(self.tree, path)
        ensure_folder(self.tree, os.path.relpath(os.path.dirname(target), self.tree))
        return target

    def _files_of(self, pattern):
        """Return the files, not directories, of the packages whose names match."""
        if self._packages is None:
            self._packages = self._rpm("-qa", "--qf=%{name}\n")
        found = set()
        for name in fnmatch.filter(self._packages, pattern):
            found.update(self._rpm("-ql", name))
        return {path for path in found if not os.path.isdir(resolve(self.tree, path, follow=False))}

    def _rpm(self, *args):
        command = ["rpm", "--root", os.path.abspath(self.tree)] + list(args)
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
        return done.stdout.splitlines()

    @staticmethod
    def _escaped(paths):
        return [re.sub(r"([*?[])", r"[\1]", path) for path in sorted(paths)]


def find(root, pattern):
    """Return the files of the tree ``root`` that match ``pattern``, as paths outside, sorted.

    The last part may be a symbolic link, which is not followed; those before lead where they do in the tree.
    """
    folders = [""]
    *above, last = [part for part in pattern.split("/") if part] or [""]
    for part in above:
        folders = [path for folder in folders for path in _matching(root, folder, part)]
    found = [path for folder in folders for path in _matching(root, folder, last)] if last else [""]
    return sorted({resolve(root, path, follow=False) for path in found})


def _matching(root, folder, part):
    place = resolve(root, folder)
    if not os.path.isdir(place):
        return []
    names = [part] if not re.search(r"[*?[]", part) else fnmatch.filter(sorted(os.listdir(place)), part)
    # As in a shell, hidden files are not meant unless the pattern says so.
    names = [name for name in names if part.startswith(".") or not name.startswith(".")]
    return [os.path.join(folder, name) for name in names if os.path.lexists(os.path.join(place, name))]
