"""A gateway of two core processes and a milter on a store of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from prometheus_client.parser import text_string_to_metric_families

from tests.demo.store import ALIASES, DOMAINS, build
from tests.rigs.folders import write_text
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.milter import MilterClient
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.socketmap import Connection
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore

TIMEOUT_S = 60.0
WORKERS = 2


@dataclass(frozen=True)
class Reply:
    """What came over HTTP."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> dict[str, object]:
        """The body as an object."""
        found: object = json.loads(self.text)
        assert isinstance(found, dict)
        return found


class Site:
    """A running gateway, its store and its port."""

    def __init__(self, gateway: Gateway, store: FlatStore, port: int) -> None:
        self.gateway = gateway
        self.store = store
        self.port = port

    @property
    def url(self) -> str:
        """The status page's address."""
        return f"http://{LOOPBACK}:{self.port}/"

    def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Ask the admin listener."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=headers)
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read().decode())
        finally:
            connection.close()

    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Every sample of /metrics, by name and label values (labels in the order of names)."""
        reply = self.get("/metrics")
        assert reply.status == 200, reply.text
        return {
            (
                sample.name,
                tuple(sample.labels[name] for name in sorted(sample.labels)),
            ): sample.value
            for family in text_string_to_metric_families(reply.text)
            for sample in family.samples
        }

    def value(self, name: str, *labels: str) -> float:
        """One sample; 0 where there is none."""
        return self.samples().get((name, labels), 0)

    def wait_value(self, wanted: float, name: str, *labels: str) -> None:
        """Wait until a sample has this value: other processes speak once a second."""
        wait_until(lambda: self.value(name, *labels) == wanted, f"{name}{labels} is {wanted}")

    # --- the interfaces ------------------------------------------------------------------------

    def socketmap(self, *recipients: bytes) -> list[bytes]:
        """Ask on a connection of its own."""
        with Connection.to(self.gateway.path("socketmap")) as connection:
            return [connection.ask(each) for each in recipients]

    def policy(self, recipient: bytes, sender: bytes = b"sender@client.example") -> bytes:
        """Ask on a connection of its own, at RCPT."""
        request = (
            b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=%b\n"
            b"client_address=192.0.2.1\nrecipient=%b\nsize=0\n\n" % (sender, recipient)
        )
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(TIMEOUT_S)
            link.connect(self.gateway.path("policy"))
            link.sendall(request)
            received = b""
            while not received.endswith(b"\n\n"):
                data = link.recv(4096)
                assert data, "the policy service hung up"
                received += data
        return received.strip().removeprefix(b"action=")

    def milter(self, recipient: bytes) -> bytes:
        """Ask as an MTA does."""
        with MilterClient(self.gateway.path("milter")) as mta:
            mta.connect()
            mta.mail(b"<sender@client.example>")
            return mta.rcpt(b"<%b>" % recipient)


@contextmanager
def running(folder: str, changes: Tables | None = None) -> Iterator[Site]:
    """A gateway on the demo's store in `folder`; `changes` are further settings."""
    store = build(folder)
    write_text(os.path.join(folder, "aliases"), ALIASES)
    (port,) = free_ports(1)
    with Gateway(store.conf_path) as gateway:
        gateway.configure(
            {
                "": {"user": "", "workers": WORKERS},
                "scope": {"domains": list(DOMAINS), "aliases": [os.path.join(folder, "aliases")]},
                "admin": {"listen": [f"inet:{LOOPBACK}:{port}", f"unix:{gateway.path('admin')}"]},
                **{
                    front: {"listen": [f"unix:{gateway.path(front)}"]}
                    for front in ("socketmap", "policy", "milter")
                },
            }
        )
        gateway.configure(changes)
        gateway.start()
        yield Site(gateway, store, port)
