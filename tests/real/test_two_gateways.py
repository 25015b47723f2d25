"""An MX host without a Cyrus asks a gateway that has one, over TLS, from another network."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.rigs.certificates import Authority, Pair
from tests.rigs.folders import folder
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.networks import Networks
from tests.rigs.require import missing, require
from tests.rigs.socketmap import Connection
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, denial, quota, record

pytestmark = pytest.mark.real

PORT = 12346
# Of a question, TCP, the handshake and the reply together: enough on a busy machine...
DEADLINE_S = 10
# ...and where no answer can come.
SHORT_S = 1
AWAY = b"TEMP Mailbox server is not available"
ANSWERS = {
    b"fred": b"OK fred",
    b"Fred": b"OK Fred",
    b"nobody": b"NOTFOUND Mailbox does not exist",
    b"full": b"TEMP Over quota",
    b"denied": b"NOTFOUND Go away",
    b"+shared": b"PERM Permission denied",
}


class Site:
    """Two gateways in two networks, and the certificates of everybody."""

    def __init__(self, stack: ExitStack) -> None:
        where = stack.enter_context(folder("tg"))
        ours, theirs = Authority(where, "ca"), Authority(where, "other")
        self.networks = stack.enter_context(Networks())
        one, other = self.networks.pair
        self.pairs = {
            "backend": ours.sign("backend", f"IP:{one.address}"),
            "mx": ours.sign("mx", "DNS:mx.example.org"),
            "elsewhere": ours.sign("elsewhere", "IP:192.0.2.9,DNS:backend.example.org"),
            "expired": ours.sign("expired", f"IP:{one.address}", days=-1),
            "unknown": theirs.sign("unknown", f"IP:{one.address}"),
        }
        self.authority = ours
        self.ca = ours.pair.certificate
        FlatStore(
            where,
            mailboxes={
                **{b"user." + name: record() for name in (b"fred", b"full", b"denied")},
                b"shared": record(b"anyone\tl"),
            },
            quotas={b"user.full": quota((2048, 1))},
            denials={b"denied": denial(b"Go away")},
        ).write()
        listen = f"inet:{one.address}:{PORT}?tls=yes"
        self.backend = stack.enter_context(
            Gateway(
                f"{where}/imapd.conf",
                {
                    # After a reload the old processes are gone soon.
                    "": {"graceful_timeout": 1},
                    "socketmap": {"listen": [listen]},
                    "tls": self.tls("backend"),
                },
                front_ends=(),
                namespace=one.command,
            )
        )
        self.mx = stack.enter_context(
            Gateway(
                "/nonexistent",
                {
                    "": {"store": f"socketmap+tls://{one.address}:{PORT}"},
                    # Every question is a real one.
                    "remote": {
                        "remember_yes": 0,
                        "remember_no": 0,
                        "remember_over_quota": 0,
                        "deadline": DEADLINE_S,
                    },
                    "tls": self.tls("mx"),
                },
                front_ends=("socketmap",),
                namespace=other.command,
            )
        )
        self.backend.start()
        self.mx.start()

    def tls(self, who: str | None) -> dict[str, str | int | float | bool | list[str]]:
        """The table [tls] of a gateway with that certificate."""
        pair = self.pairs[who] if who is not None else Pair("", "")
        return {"certificate": pair.certificate, "key": pair.key, "ca": self.ca}

    def revoke(self, *names: str, age: int = 0) -> str:
        """The path of the list of revoked certificates, which is written again."""
        return self.authority.revoke(*(self.pairs[name] for name in names), age=age)

    def times_read(self) -> int:
        """How often the backend has read that list."""
        return sum("lists of revoked certificates are in force" in x for x in self.backend.log())

    def ask(self, key: bytes = b"fred") -> bytes:
        """What the MX host's gateway says."""
        with Connection.to(self.mx.path("socketmap")) as client:
            return client.ask(key)

    def recovers(self) -> None:
        """Wait until it answers again, by itself."""
        wait_until(lambda: self.ask() == b"OK fred", "the backend is asked again")

    def refuses(self, reason: str) -> None:
        """Wait for a temporary failure, and the reason in the MX host's log.

        A connection that was there before a reload is served on for a while.
        """
        wait_until(lambda: self.ask() == AWAY, "the backend is not believed")
        # What the peer says on parting may get lost with the connection; it says it again.
        wait_until(
            lambda: self.ask() == AWAY and any(reason in line for line in self.mx.log()),
            f"the log says {reason!r}",
        )


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests, which leave it as they found it."""
    require("cyrus")  # for its user
    for program in ("ip", "openssl"):
        if shutil.which(program) is None:
            missing(f"{program} is missing; as root: apt-get install iproute2 openssl")
    with ExitStack() as stack:
        yield Site(stack)


def test_answers_are_those_of_the_backend(site: Site) -> None:
    """Quota and deny state included; on one connection and on many."""
    with Connection.to(site.mx.path("socketmap")) as client:
        for key, answer in ANSWERS.items():
            assert client.ask(key) == answer
        keys = list(ANSWERS) * 20
        assert client.ask_pipelined(keys) == [ANSWERS[key] for key in keys]


CLIENTS = [
    (None, "certificate required"),
    ("expired", "certificate expired"),
    ("unknown", "unknown ca"),
]


@pytest.mark.parametrize(("who", "reason"), CLIENTS)
def test_an_mx_host_with_a_wrong_certificate_is_refused(
    site: Site, who: str | None, reason: str
) -> None:
    """None, one that is out of date, one that somebody else signed; until a reload fixes it."""
    site.mx.reload({"tls": site.tls(who)})
    site.refuses(reason)
    site.backend.wait_log("TLS:", "disconnected")
    site.mx.reload({"tls": site.tls("mx")})
    site.recovers()


SERVERS = [
    ("elsewhere", "IP address mismatch, certificate is not valid for '192.0.2.1'"),
    ("expired", "certificate has expired"),
    ("unknown", "unable to get local issuer certificate"),
]


@pytest.mark.parametrize(("who", "reason"), SERVERS)
def test_a_backend_with_a_wrong_certificate_is_not_believed(
    site: Site, who: str, reason: str
) -> None:
    """For another host, out of date, or signed by somebody else."""
    site.backend.reload({"tls": site.tls(who)})
    site.refuses(reason)
    site.backend.reload({"tls": site.tls("backend")})
    site.recovers()


def test_a_certificate_that_cannot_be_used_changes_nothing(site: Site) -> None:
    """The reload is refused, and the old one serves on."""
    broken = {**site.tls("backend"), "key": site.pairs["mx"].key}
    site.backend.reload({"tls": broken})
    site.backend.wait_log("tls.certificate", "cannot be used")
    assert site.ask() == b"OK fred"
    site.backend.reload({"tls": site.tls("backend")})
    assert site.ask() == b"OK fred"


def test_a_core_that_dies_during_a_renewal_comes_back(site: Site) -> None:
    """With the certificate and the key that were found good; the new ones count from SIGHUP on."""
    key = Path(site.pairs["backend"].key)
    good = key.read_bytes()
    key.write_bytes(good[:40])
    try:
        cores = site.backend.pids("core")
        for core in cores:
            os.kill(core, signal.SIGKILL)
        wait_until(lambda: set(site.backend.pids("core")) - set(cores), "a core is back")
        site.recovers()
    finally:
        key.write_bytes(good)
    site.backend.reload({})
    site.recovers()


def test_cores_that_are_killed_in_renewals_refuse_nobody(site: Site) -> None:
    """Eight clients meanwhile; a question whose process was killed is asked of its successor.

    On a quiet machine none is deferred; how many are on a busy one is printed.
    """
    told: Counter[bytes] = Counter()
    site.mx.reload({"remote": {"remember_yes": 0, "remember_no": 0}})
    stop = threading.Event()

    def ask() -> None:
        with Connection.to(site.mx.path("socketmap")) as link:
            while not stop.is_set():
                told[link.ask(b"fred")] += 1

    def asked() -> None:
        enough = told.total() + 200
        wait_until(lambda: told.total() >= enough, "questions are answered")

    key = Path(site.pairs["backend"].key)
    good = key.read_bytes()
    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    try:
        for _ in range(3):
            asked()
            key.write_bytes(good[:40])
            for core in site.backend.pids("core"):
                os.kill(core, signal.SIGKILL)
            asked()
            key.write_bytes(good)
            site.backend.reload({})
            asked()
    finally:
        key.write_bytes(good)
        stop.set()
        for client in clients:
            client.join()
    print(dict(told))
    assert set(told) <= {b"OK fred", AWAY}
    site.recovers()


def test_only_clients_of_a_name_and_none_that_is_revoked(site: Site) -> None:
    """client_names and crl; a list that is put there later counts without a reload."""
    names = {"client_names": ["mx.example.org"]}
    site.backend.reload({"tls": {**site.tls("backend"), **names, "crl": site.revoke(age=1)}})
    site.recovers()
    site.backend.reload({"tls": {"client_names": ["other.example.org"]}})
    site.refuses("")
    site.backend.wait_log("its certificate is for mx.example.org", "client_names")
    site.backend.reload({"tls": names})
    site.recovers()
    read = site.times_read()
    site.revoke("mx")
    wait_until(lambda: site.times_read() > read, "the new list is read")
    # Its old connection is served on.
    site.mx.reload({})
    site.refuses("")
    site.backend.wait_log("TLS: certificate revoked")
    site.backend.reload({"tls": {"crl": "", "client_names": []}})
    site.recovers()


def test_who_is_not_in_allow_is_disconnected(site: Site) -> None:
    """Whatever certificate it has."""
    other = site.networks.pair[1].address
    changes: list[tuple[Tables, bool]] = [
        ({"socketmap": {"allow": [f"{other}/32"]}}, True),
        ({"socketmap": {"allow": ["198.51.100.0/24"]}}, False),
        ({"socketmap": {"allow": []}}, True),
    ]
    for change, may in changes:
        site.backend.reload(change)
        if may:
            site.recovers()
        else:
            site.refuses("")
            site.backend.wait_log(f"refused a connection from {other}")


def test_a_network_that_is_gone(site: Site) -> None:
    """No answer within the deadline, and recovery without a restart."""
    site.mx.reload({"remote": {"deadline": SHORT_S}})
    site.networks.cut()
    try:
        assert site.ask() == AWAY
        assert site.ask(b"nobody") == AWAY
    finally:
        site.networks.fix()
    site.mx.reload({"remote": {"deadline": DEADLINE_S}})
    site.recovers()


def test_a_backend_that_restarts(site: Site) -> None:
    """While it is away it is a temporary failure; afterwards it is as before."""
    site.backend.stop()
    assert site.ask() == AWAY
    site.backend.start()
    site.recovers()


def test_stale_answers(site: Site) -> None:
    """With serve_stale, a recipient known before the backend went away still is; nobody is refused."""
    site.mx.reload({"remote": {"remember_yes": 0.1, "remember_no": 0.1, "serve_stale": 3600}})
    assert site.ask(b"nobody") == ANSWERS[b"nobody"]
    site.recovers()
    site.backend.stop()
    wait_until(lambda: site.ask(b"stranger") == AWAY, "it is away")
    assert site.ask() == b"OK fred"
    # A refusal has no stale answer: the recipient may have been created since.
    wait_until(lambda: site.ask(b"nobody") == AWAY, "its refusal is no longer remembered")
    assert site.ask(b"denied") == AWAY
    site.backend.start()
    site.mx.reload({"remote": {"remember_yes": 0, "remember_no": 0, "serve_stale": 0}})
    site.recovers()
