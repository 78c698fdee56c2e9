"""Running programs: of the build root, or of a tree with the tree as their root directory.

Python's subprocess costs a stage some 10 ms to import; waiting for one program needs none of it.
"""

import os
import sys

_TREE_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class ProgramError(Exception):
    """A program that could not be started or did not end with status 0."""


def run(argv, root=None, env=None, stdin=None, stdout=None):
    """Run ``argv`` (a list of strings), wait for it and return nothing; its output goes where ours goes.

    With ``root``, a directory, the program is looked for and runs inside of it, as after chroot(2).
    ``env`` is a dict of variables to add to the environment. ``stdin`` and ``stdout`` are open files, or
    descriptors, that it reads and writes in place of ours. Raises ProgramError where the program does not
    start or does not succeed.
    """
    start(argv, root, env, stdin, stdout).wait()


class Program:
    """A program that runs. Call :meth:`wait` once."""

    def __init__(self, name, pid):
        self._name = name
        self._pid = pid

    def wait(self):
        """Wait for its end. Raises ProgramError where it does not succeed."""
        _, status = os.waitpid(self._pid, 0)
        if os.WIFSIGNALED(status):
            raise ProgramError("{} was ended by signal {}".format(self._name, os.WTERMSIG(status)))
        if os.WEXITSTATUS(status) != 0:
            raise ProgramError("{} failed with exit status {}".format(self._name, os.WEXITSTATUS(status)))


def start(argv, root=None, env=None, stdin=None, stdout=None):
    """Start a program as :func:`run` does, and return a Program. Raises ProgramError where it does not start.

    Not for a process with threads: it forks.
    """
    variables = dict(os.environ)
    if root is not None:
        variables["PATH"] = _TREE_PATH
    variables.update(env or {})

    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(argv, root, variables, writer, (stdin, stdout))
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        problem = pipe.read()
    if problem:
        os.waitpid(pid, 0)
        where = "the tree" if root is not None else "the build root"
        raise ProgramError("cannot run {} of {}: {}".format(argv[0], where, problem))
    return Program(argv[0], pid)


def _become(argv, root, variables, writer, streams):
    """Turn this process into the program; where that fails say why on ``writer`` and end. Never returns."""
    try:
        import signal

        # Python ignores it, and programs inherit that: a pipeline would not end with its reader.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for number, stream in enumerate(streams):
            if stream is not None:
                os.dup2(stream if isinstance(stream, int) else stream.fileno(), number)
        if root is not None:
            os.chroot(root)
            os.chdir("/")
        _execute(argv, variables)
    except OSError as problem:
        os.write(writer, (problem.strerror or str(problem)).encode("utf-8"))
    finally:
        os._exit(1)


def _execute(argv, variables):
    # Not os.execvpe: it imports when it runs, which is too late in another root directory.
    missing = None
    for folder in variables.get("PATH", _TREE_PATH).split(":"):
        try:
            os.execve(os.path.join(folder, argv[0]), argv, variables)
        except (FileNotFoundError, NotADirectoryError) as problem:
            missing = problem
    raise missing
