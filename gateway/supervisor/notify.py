"""What systemd (or any supervisor that speaks its protocol) wants to hear: sd_notify(3).

Datagrams to the socket of NOTIFY_SOCKET, a path or an abstract name (`@`).
Without the variable every call does nothing.  A message that cannot be sent
is dropped: a supervisor that does not read must not stop the service.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

from gateway.printable import printable

# systemd cuts longer ones in its displays.
_STATUS_LIMIT = 200
_MICROSECONDS = 1_000_000
# Seconds more than the processes have: those that are killed in the end must be waited for.
STOP_MARGIN = 10.0


class Notifier:
    """Sends states; `watchdog_interval` is the seconds within which `watchdog` must be called.

    Takes its variables out of `environ`, so that no child speaks in our name.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog(
            environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        )

    @property
    def enabled(self) -> bool:
        """Whether there is a service manager that listens."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """Service is up, or a reload is done."""
        return self.send("READY=1", *_status(status), f"MAINPID={os.getpid()}")

    def reloading(self) -> bool:
        """A reload begins; Type=notify-reload wants the time of it (systemd.service(5))."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self.send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, within: float = 0.0) -> bool:
        """Shutting down, which takes `within` seconds: a shorter TimeoutStopSec= has to wait."""
        extended = int((within + STOP_MARGIN) * _MICROSECONDS)
        return self.send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={extended}")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self.send(*_status(text))

    def watchdog(self) -> bool:
        """Still alive."""
        return self.send("WATCHDOG=1")

    def send(self, *assignments: str) -> bool:
        """One datagram with these VARIABLE=VALUE lines; tells whether it was taken."""
        if self._address is None or not assignments:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(assignments).encode(), self._address)
            except OSError:
                return False
        return True


def _address(name: str) -> str | None:
    """The address for sendto, or None for no or an unknown kind of address."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog(microseconds: str, pid: str) -> float | None:
    """Seconds, or None where none is set or it is another process' (sd_watchdog_enabled(3))."""
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    if pid and pid != str(os.getpid()):
        return None
    return int(microseconds) / _MICROSECONDS


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={printable(text, _STATUS_LIMIT)}",) if text else ()
