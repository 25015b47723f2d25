"""A throw-away Cyrus Murder on one machine: mupdate master, a frontend and two backends.

    with Murder() as murder:
        murder.start()
        with murder.backends[0].admin() as admin:
            admin.create(b"user/fred")

Each of the four is a Cyrus of its own (Debian's programs) with an address of
its own in the loopback network, so that all of them use the ports that a
Murder has: IMAP 143, mupdate 3905, smmapd 12345.  The addresses are chosen by chance, so
that two Murders do not meet.  The frontend's mailbox list comes from the
master, through its own mupdate process.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.rigs.cyrus import ADMIN, PASSWORD, Cyrus

MUPDATE_PORT = 3905
SMMAPD_PORT = 12345
IMAP_PORT = 143
# The users that servers log in as, at the master and at backends.
MUPDATE_USER = "mupdate"
PROXY_USER = "mailproxy"
# Of all four: RCPT TO's addresses are the users' names there.
DOMAIN = "example.org"


class Murder:
    """Four Cyrus servers; a backend's smmapd is the C program, or `smmapd` for the second."""

    def __init__(self, *, smmapd: str = "smmapd") -> None:
        """`smmapd` is the command of the second backend's service."""
        self._stack = ExitStack()
        net = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}"
        self.master_address = f"{net}.10"
        common = {
            # With the port: Debian's /etc/services does not know mupdate.
            "mupdate_server": f"{self.master_address}:{MUPDATE_PORT}",
            "mupdate_username": MUPDATE_USER,
            "mupdate_authname": MUPDATE_USER,
            "mupdate_password": PASSWORD,
            "proxy_authname": PROXY_USER,
            "proxy_password": PASSWORD,
        }
        self.master = self._server(self.master_address, {})
        self.backends = tuple(
            self._server(f"{net}.{number}", {**common, "proxyservers": PROXY_USER})
            for number in (11, 12)
        )
        self.addresses = tuple(f"{net}.{number}" for number in (11, 12))
        self.frontend_address = f"{net}.13"
        self.frontend = self._server(
            self.frontend_address,
            {
                **common,
                "serverlist": " ".join(self.addresses),
            },
        )
        self._smmapds = ("smmapd", smmapd)

    def _server(self, address: str, settings: Mapping[str, str]) -> Cyrus:
        return Cyrus(
            {
                "servername": address,
                "admins": f"{ADMIN} {MUPDATE_USER} {PROXY_USER}",
                "virtdomains": "userid",
                "defaultdomain": DOMAIN,
                **settings,
            }
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self._servers():
                stack.enter_context(server)
            for server, address in zip(self._servers(), self._all_addresses(), strict=True):
                for user in (ADMIN, MUPDATE_USER, PROXY_USER):
                    server.set_password(user, address)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _servers(self) -> tuple[Cyrus, ...]:
        """In the order in which they are started."""
        return (self.master, *self.backends, self.frontend)

    def _all_addresses(self) -> tuple[str, ...]:
        return (self.master_address, *self.addresses, self.frontend_address)

    def start(self) -> None:
        """Start all four, and wait until every service accepts."""
        self.master.add_service(
            "mupdate", "mupdate -m", listen=f"{self.master_address}:{MUPDATE_PORT}", prefork=1
        )
        for backend, address, smmapd in zip(
            self.backends, self.addresses, self._smmapds, strict=True
        ):
            backend.add_service("imap", "imapd")
            # Where the other one moves mailboxes to.
            backend.add_service("remote", "imapd", listen=f"{address}:{IMAP_PORT}")
            backend.add_service("smmap", smmapd, listen=f"{address}:{SMMAPD_PORT}")
        self.frontend.add_service(
            "mupdate", "mupdate", listen=f"{self.frontend_address}:{MUPDATE_PORT}", prefork=1
        )
        self.frontend.add_service("smmap", "smmapd")
        for server in self._servers():
            server.start(low_ports=True)

    def stop_backend(self, number: int) -> None:
        """Stop the backend of that number, counted from 0."""
        self.backends[number].stop()

    def start_backend(self, number: int) -> None:
        """Start it again."""
        self.backends[number].start(low_ports=True)
