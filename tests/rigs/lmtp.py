"""An lmtpd that takes every mail and delivers none: it notes the recipients of each.

with lmtp_server(path) as lmtp:
    ...
    assert lmtp.recipients == [b"fred@example.org"]
"""

from __future__ import annotations

import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Lmtp(socketserver.StreamRequestHandler):
    """Takes every mail; notes its recipients."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, LmtpServer)
        waiting = 0
        self._say(b"220 lmtp")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                waiting += 1
                server.recipients.append(line.partition(b":")[2].split(b">")[0].lstrip(b" <"))
            if verb == b"DATA":
                self._say(b"354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                for _ in range(waiting):
                    self._say(b"250 2.1.5 Ok")
                waiting = 0
                continue
            self._say(b"221 bye" if verb == b"QUIT" else b"250 2.1.0 ok")
            if verb == b"QUIT":
                return

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")


class LmtpServer(socketserver.ThreadingUnixStreamServer):
    """An lmtpd that delivers nothing."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.recipients: list[bytes] = []
        super().__init__(path, _Lmtp)
        os.chmod(path, 0o666)


@contextmanager
def lmtp_server(path: str) -> Iterator[LmtpServer]:
    """One that serves at the Unix socket `path`."""
    server = LmtpServer(path)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(timeout=30)
        server.server_close()
