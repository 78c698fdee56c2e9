import json
import os
import socket
import sys


class InputService:
    """An input, with what of the protocol the appliance needs."""

    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)

    @classmethod
    def from_args(cls, argv):
        return cls(int(argv[argv.index("--service-fd") + 1]))

    def main(self):
        print("appliance service", os.path.basename(sys.argv[0]))
        while True:
            packet = self.sock.recv(1 << 20)
            if not packet:
                return
            args = json.loads(packet)["data"]["args"]
            reply = self.map(
                Store(args["api"]["store"]), args["origin"], args["refs"], args["target"], args["options"]
            )
            self.sock.send(json.dumps({"type": "reply", "data": {"reply": reply}}).encode())


class Store:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.connect(path)

    def source(self, name):
        self.sock.send(json.dumps({"method": "source", "name": name}).encode())
        return json.loads(self.sock.recv(1 << 16))["path"]
