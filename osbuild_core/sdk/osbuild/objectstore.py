"""What a host service can ask the engine's object store."""

import os

from osbuild.util import jsoncomm


class StoreClient:
    """A connection to the store's socket at the path ``connect_to``.

    Methods raise RuntimeError with the store's reason.
    """

    def __init__(self, connect_to):
        self.client = jsoncomm.Socket.new_client(connect_to)

    def read_tree(self, object_id):
        """Return the path at which the tree of that object can be read while the stage runs."""
        return self._ask({"method": "read-tree", "object-id": object_id})

    def read_tree_at(self, object_id, target, path="/"):
        """Have ``path`` of that object's tree mounted read-only at ``target``; returns ``target``."""
        request = {"method": "read-tree-at", "object-id": object_id}
        request["target"] = os.fspath(target)
        request["subtree"] = os.fspath(path)
        return self._ask(request)

    def mkdtemp(self, suffix=None, prefix=None):
        """Return a new directory, which lives until the stage has ended."""
        return self._ask({"method": "mkdtemp", "suffix": suffix, "prefix": prefix})

    def source(self, name):
        """Return the directory with what has been fetched of content type ``name``."""
        return self._ask({"method": "source", "name": name})

    def _ask(self, request):
        answer, fds, _ = self.client.send_and_recv(request)
        if answer is None:
            raise RuntimeError("the store closed the connection")
        fds.close()
        if answer.get("error"):
            raise RuntimeError(answer["error"])
        return answer["path"]

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
