"""The first process of a node: starts its slurmd, buries whatever else ends in the node's process namespace.

Run with ``-I -S``: it is to start fast.
"""

import os
import signal
import sys


def main(argv: list[str]) -> int:
    daemon = os.fork()
    if daemon == 0:
        os.execvp(argv[0], argv)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(daemon, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == daemon:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
