"""A child for the supervisor's tests.

It tells every client one JSON line (name, index, generation, pid, uid and the
restarts it heard of), then echoes until the client closes.  Told to stop, it
accepts no more, says how many clients are left, and ends when they are gone; told
so again, it ends at once.  Its behaviour comes as JSON on standard input:

    fail: [CODE, MESSAGE]   say why and exit before being ready
    crash_unless: PATH      make that file and die, unless it is there
    stubborn: true          do not stop when told to
    silent: true            never say that it is alive
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path

from gateway.supervisor.channel import Leave, Restarts, Supervised, supervised


class Dummy:
    """The loop: listeners, clients, the supervisor's channel."""

    def __init__(self, me: Supervised, *, stubborn: bool) -> None:
        self._me = me
        self._stubborn = stubborn
        self._selector = selectors.DefaultSelector()
        self._listeners = {
            each.socket.fileno(): each.socket for group in me.listeners.values() for each in group
        }
        self._clients: dict[int, socket.socket] = {}
        self._restarts: dict[str, int] = {}
        self._stopping = False

    def run(self, beat: float | None) -> None:
        """Serve until told to stop, or until the supervisor is gone."""
        for descriptor in (*self._listeners, self._me.fileno()):
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._me.ready()
        while self._clients or not self._stopping:
            for key, _ in self._selector.select(beat):
                if key.fd == self._me.fileno():
                    self._messages()
                elif key.fd in self._listeners:
                    self._accept(self._listeners[key.fd])
                elif key.fd in self._clients:
                    self._echo(self._clients[key.fd])
            if beat is not None:
                self._me.alive()

    def _stop(self) -> None:
        if self._stubborn:
            return
        if self._stopping:
            sys.exit(0)
        self._stopping = True
        for descriptor in self._listeners:
            self._selector.unregister(descriptor)
        self._me.clients(len(self._clients))

    def _messages(self) -> None:
        messages = self._me.receive()
        if messages is None:
            sys.exit(0)
        for each in messages:
            match each:
                case Restarts():
                    self._restarts[each.name] = each.count
                case Leave():
                    self._stop()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        self._clients[client.fileno()] = client
        self._selector.register(client, selectors.EVENT_READ)
        told = {
            "name": self._me.name,
            "index": self._me.index,
            "generation": self._me.generation,
            "pid": os.getpid(),
            "uid": os.getuid(),
            "restarts": self._restarts,
            "environment": sorted(
                name for name in os.environ if "NOTIFY" in name or "LISTEN" in name
            ),
        }
        client.send(json.dumps(told).encode() + b"\n")

    def _echo(self, client: socket.socket) -> None:
        data = client.recv(999)
        if data:
            client.send(data)
            return
        self._selector.unregister(client)
        del self._clients[client.fileno()]
        client.close()
        if self._stopping:
            self._me.clients(len(self._clients))


def main() -> int:
    """Behave as told."""
    me = supervised(os.environ)
    assert me is not None
    behaviour = json.loads(me.configuration)
    if "fail" in behaviour:
        code, message = behaviour["fail"]
        me.failed(message)
        return int(code)
    if "crash_unless" in behaviour:
        marker = Path(behaviour["crash_unless"])
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
    beat = None if behaviour.get("silent", True) else 0.05
    Dummy(me, stubborn=behaviour.get("stubborn", False)).run(beat)
    return 0


if __name__ == "__main__":
    sys.exit(main())
