"""Host services: programs that the engine starts and talks to over one socket.

``MODULE --service-fd N --service-id ID``. The service answers methods until the engine closes the
socket, then frees what it holds and exits. It ignores SIGTERM and SIGINT, since only the end of the
socket tells that nothing uses its devices and mounts any more.
"""

import abc
import signal
import sys

from osbuild.util import jsoncomm


class ProtocolError(Exception):
    """The engine asked for something that the service does not know."""


class RemoteError(Exception):
    """The other side raised an exception."""

    def __init__(self, name, value, stack=""):
        super().__init__(value)
        self.name = name
        self.value = value
        self.stack = stack


class ServiceArguments:
    """What the command line of a service says: ``service_fd`` and ``service_id``."""

    def __init__(self, service_fd, service_id):
        self.service_fd = service_fd
        self.service_id = service_id


def parse_arguments(argv):
    """Read ``--service-fd N --service-id ID``. Exits with status 2 where they are not there."""
    # argparse costs as long to import as everything else here together.
    values = {}
    rest = list(argv)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name not in ("--service-fd", "--service-id") or not (equals or rest):
            break
        values[name] = value if equals else rest.pop(0)
    if rest or set(values) != {"--service-fd", "--service-id"} or not values["--service-fd"].isdigit():
        print("usage: MODULE --service-fd FD --service-id ID (the engine starts it)", file=sys.stderr)
        sys.exit(2)
    return ServiceArguments(int(values["--service-fd"]), values["--service-id"])


class Service(abc.ABC):
    """Base of all services. ``id`` is how the engine calls this one, ``sock`` the socket to it."""

    def __init__(self, args):
        self.sock = jsoncomm.Socket.new_from_fd(args.service_fd)
        self.id = args.service_id

    @classmethod
    def from_args(cls, argv):
        """Return the service for the arguments ``argv`` (without the program's name)."""
        return cls(parse_arguments(argv))

    @abc.abstractmethod
    def dispatch(self, method, args, fds):
        """Do ``method`` and return (reply, list of descriptors to send along or None).

        ``fds`` is an FdSet, closed by the caller. Raises ProtocolError for an unknown method; whatever is
        raised is told to the engine.
        """

    def stop(self):  # noqa: B027 - a service that holds nothing has nothing to do here
        """Free what the service holds; called once, when the engine has closed the socket."""

    def main(self):
        """Serve until the engine closes the socket, then clean up. Returns None."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A closed pipe or socket is an error to handle, not an end without cleaning up.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            self._serve()
        finally:
            self.stop()
            self.sock.close()

    def abandoned(self):
        """Tell whether the engine has closed the socket; for methods that take long."""
        import select

        poll = select.poll()
        poll.register(self.sock.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    def emit_signal(self, data):
        """Tell the engine something on the way to the reply; lost if the engine is gone."""
        try:
            self.sock.send({"type": "signal", "data": {"reply": data}})
        except OSError:
            # The next recv sees that the engine is gone and ends the service.
            return

    def _serve(self):
        while True:
            message, fds, _ = self.sock.recv()
            if message is None:
                return
            with fds:
                # What is sent back may be one of those that came.
                answer, out = self._answer(message, fds)
                try:
                    self.sock.send(answer, fds=out or [])
                except (BrokenPipeError, ConnectionResetError):
                    return

    def _answer(self, message, fds):
        try:
            kind, data = message["type"], message["data"]
            if kind != "method":
                raise ProtocolError("unexpected message of type {!r}".format(kind))
            reply, out = self.dispatch(data["name"], data["args"], fds)
            return {"type": "reply", "data": {"reply": reply}}, out
        except Exception as e:
            import traceback

            stack = "".join(traceback.format_tb(e.__traceback__))
            data = {"name": type(e).__name__, "value": str(e), "backtrace": stack}
            return {"type": "exception", "data": data}, None
