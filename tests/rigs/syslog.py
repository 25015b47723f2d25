"""A syslog of the test's own: what a program and its children write to /dev/log.

    with Syslog() as log:
        run(log.wrap(["logger", "hello"]))
        log.wait_for("hello")

`wrap` runs a program in a mount namespace of its own, in which /dev/log leads
to the test's socket; the machine's /dev and its syslog, if there is one, stay
as they are.  Needs root and the right to mount.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Sequence
from typing import Self

from tests.rigs.folders import make_folder
from tests.rigs.processes import Account
from tests.rigs.waiting import DeadlineError, wait_until

_LONGEST_MESSAGE = 65536

# $1 is an empty folder, $2 the socket, the rest is the program.
_SCRIPT = """
set -e
dev=$1; log=$2; shift 2
mount -t tmpfs -o mode=755 tmpfs "$dev"
for node in null zero full random urandom tty; do
    : >"$dev/$node"
    mount --bind "/dev/$node" "$dev/$node"
done
mkdir -m 1777 "$dev/shm"
ln -s /proc/self/fd "$dev/fd"
ln -s "$log" "$dev/log"
mount --move "$dev" /dev
exec "$@"
"""


class Syslog:
    """A datagram socket and a thread that empties it: a full one would hold up its writers.

    With `reads=False` it is such a one, until `read` is called.
    """

    def __init__(self, *, reads: bool = True) -> None:
        self._reads = reads
        self._messages: list[str] = []
        self._folder = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._collect, name="syslog", daemon=True)

    def __enter__(self) -> Self:
        self._folder = make_folder("log")
        os.mkdir(os.path.join(self._folder, "dev"))
        path = os.path.join(self._folder, "log")
        self._socket.bind(path)
        os.chmod(path, 0o666)
        if self._reads:
            self._thread.start()
        return self

    def read(self) -> None:
        """Begin to read."""
        self._reads = True
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        if self._reads:
            # An empty message, which syslog(3) never sends, ends the thread.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.connect(os.path.join(self._folder, "log"))
                own.send(b"")
            self._thread.join()
        self._socket.close()
        shutil.rmtree(self._folder)

    def _collect(self) -> None:
        while message := self._socket.recv(_LONGEST_MESSAGE):
            self._messages.append(message.rstrip(b"\0\n").decode(errors="replace"))

    def wrap(self, argv: Sequence[str], user: Account | None = None) -> list[str]:
        """The command line that runs `argv` (as `user`) with this socket as its /dev/log."""
        if user is not None:
            argv = [
                *("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}"),
                *("--groups=" + ",".join(map(str, user.groups)), "--", *argv),
            ]
        folder = self._folder
        names = (os.path.join(folder, "dev"), os.path.join(folder, "log"))
        return ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", *names, *argv]

    def messages(self) -> list[str]:
        """Everything so far, each as it was sent: `<PRI>Mon dd hh:mm:ss ident[pid]: text`."""
        return list(self._messages)

    def wait_for(self, text: str) -> str:
        """Wait until a message contains `text` and return the first that does."""

        def found() -> str | None:
            return next((line for line in self.messages() if text in line), None)

        try:
            return wait_until(found, f"syslog got {text!r}")
        except DeadlineError as error:
            raise DeadlineError(f"{error}; it got {self.messages()!r}") from None
