"""Runs the emulator: prints its address as one line of JSON, ends with its standard input or on SIGTERM."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading

# moto reads these when it is imported: regions that botocore does not know, and no images of its own.
os.environ["MOTO_ALLOW_NONEXISTENT_REGION"] = "true"
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
# moto itself asks no AWS; what the caller has for keys must not come near it.
for name in (
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
):
    os.environ.pop(name, None)

from .server import server  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a port of 127.0.0.1; 0 takes a free one")
    running = server(parser.parse_args().port)

    def wait_for_end() -> None:
        sys.stdin.read()
        running.shutdown()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=running.shutdown).start())
    threading.Thread(target=wait_for_end, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{running.server_port}"}), flush=True)
    running.serve_forever(poll_interval=0.05)
    # Requests that are held have threads that nobody waits for.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
