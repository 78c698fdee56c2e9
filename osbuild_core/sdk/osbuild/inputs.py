"""Inputs: services that put what a stage reads where the stage finds it."""

import abc

from osbuild import host
from osbuild.objectstore import StoreClient


class InputService(host.Service):
    """Base of inputs."""

    @abc.abstractmethod
    def map(self, store, origin, refs, target, options):
        """Put the objects ``refs`` ({id or checksum: options}) of ``origin`` into the directory ``target``.

        Returns ``{"path": path at or below target, "data": what the stage needs to know about it}``.
        """

    def unmap(self):  # noqa: B027 - an input that holds nothing has nothing to do here
        """Undo ``map``; called once the stage has ended."""

    def stop(self):
        self.unmap()

    def dispatch(self, method, args, fds):
        if method != "map":
            raise host.ProtocolError("an input has no method {!r}".format(method))
        with StoreClient(args["api"]["store"]) as store:
            reply = self.map(store, args["origin"], args["refs"], args["target"], args["options"])
        return reply, None
