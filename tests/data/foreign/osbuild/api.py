import contextlib
import json
import socket
import sys
import traceback

from . import VERSION


def arguments(path="/run/osbuild/api/arguments"):
    with open(path) as fp:
        data = json.load(fp)
    data["appliance"] = VERSION
    return data


def metadata(data, path="/run/osbuild/meta"):
    with open(path, "w") as fp:
        json.dump(data, fp)


@contextlib.contextmanager
def exception_handler(path="/run/osbuild/api/osbuild"):
    try:
        yield
    except Exception as e:
        message = {
            "type": "Appliance" + type(e).__name__,
            "value": str(e),
            "traceback": traceback.format_exc(),
        }
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(path)
            sock.send(json.dumps({"method": "exception", "exception": message}).encode())
        sys.exit(2)
