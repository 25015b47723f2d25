"""The sites that meet: a Postfix of its own each, and what its smtpd asks about a recipient.

What a RCPT costs is counted over all of them: Postfix' processes, and the servers that
they ask.  Postfix has its defaults where this file says nothing; the limits of errors, of
commands and of recipients that it has for a session are lifted, since a measure is one long
mail that is never sent, and so is the pause that it makes where more mail comes in than goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tests.bench.peers import QuotaStatus
from tests.bench.rcpt.ground import LIMIT_KIB, MAIL_BYTES, Ground
from tests.bench.scenarios import BUILTIN
from tests.bench.servers import DOMAIN, Gateway
from tests.rigs import accounting
from tests.rigs.postfix import Postfix

_MAIN = {
    "relay_domains": DOMAIN,
    "smtpd_soft_error_limit": "1000000",
    "smtpd_hard_error_limit": "1000000",
    "smtpd_junk_command_limit": "1000000",
    "smtpd_recipient_limit": "1000000",
    "in_flow_delay": "0",
    # A site that relies on it refuses permanently; the default is 450, with which the client comes back.
    "unverified_recipient_reject_code": "550",
}
_VERIFY = {"smtpd_recipient_restrictions": "reject_unverified_recipient"}


class Changes(Protocol):
    """How mailboxes change at a site."""

    def create(self, user: str) -> None:
        """Make a mailbox."""

    def delete(self, user: str) -> None:
        """Remove one."""

    def fill(self, user: str) -> None:
        """Put more into it than it may hold."""

    def widen(self, user: str) -> None:
        """Raise the limit of a full one."""


class CyrusChanges:
    """Through the real imapd."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def create(self, user: str) -> None:
        """CREATE and SETQUOTA."""
        self._ground.create(user)

    def delete(self, user: str) -> None:
        """DELETE."""
        self._ground.admin.delete(b"user/" + user.encode())

    def fill(self, user: str) -> None:
        """APPEND and SETQUOTA."""
        self._ground.fill(user)

    def widen(self, user: str) -> None:
        """SETQUOTA."""
        self._ground.admin.setquota(b"user/" + user.encode(), storage_kib=LIMIT_KIB)


class DovecotChanges:
    """Its list of users, and mail laid into the folders."""

    def __init__(self, server: QuotaStatus) -> None:
        self._server = server

    def create(self, user: str) -> None:
        """A line in the list."""
        self._server.users[user] = LIMIT_KIB * 1024
        self._server.write_users()

    def delete(self, user: str) -> None:
        """No line in the list."""
        del self._server.users[user]
        self._server.write_users()

    def fill(self, user: str) -> None:
        """A mail that is larger than the user's limit, which stays: no need to read the list."""
        self._server.deliver(user, LIMIT_KIB * 1024 + MAIL_BYTES)

    def widen(self, user: str) -> None:
        """Another limit in the list."""
        self._server.users[user] = 2 * LIMIT_KIB * 1024
        self._server.write_users()


@dataclass(frozen=True, slots=True)
class Site:
    """A running one.

    `full` is the first digit of its reply for a mailbox over quota; `waits` says that a first
    question waits for a probe, so that many are asked at once.
    """

    name: str
    mta: Postfix
    interface: str
    asked: tuple[Callable[[], float], ...]
    changes: Changes
    full: str = "4"
    waits: bool = False

    @property
    def address(self) -> str:
        """Where its smtpd listens."""
        host, port = self.mta.address(self.interface)
        return f"{host}:{port}"

    def cpu_seconds(self) -> float:
        """CPU seconds so far, of Postfix and of everything that it asks."""
        return _tree(self.mta.master.pid) + sum(count() for count in self.asked)


def _tree(root: int) -> float:
    return accounting.cpu_seconds([root, *accounting.descendants(root)])


def _cyrus(ground: Ground) -> float:
    return _tree(ground.cyrus.master.pid)


@contextmanager
def _nothing(ground: Ground, name: str) -> Iterator[Site]:
    """smtpd that asks nobody: what the sites have in common."""
    with Postfix(main=_MAIN, interfaces={"plain": {}}) as mta:
        mta.start()
        yield Site(name, mta, "plain", (), CyrusChanges(ground))


@contextmanager
def _verify(ground: Ground, name: str, more: Mapping[str, str]) -> Iterator[Site]:
    """reject_unverified_recipient against lmtpd; `more` are settings of main.cf."""
    transport = {"relay_transport": f"lmtp:unix:{ground.cyrus.socket_path('lmtp')}"}
    with Postfix(main={**_MAIN, **transport, **more}, interfaces={"verify": _VERIFY}) as mta:
        mta.start()
        count = partial(_cyrus, ground)
        yield Site(name, mta, "verify", (count,), CyrusChanges(ground), waits=True)


@contextmanager
def _c_smmapd(ground: Ground, name: str) -> Iterator[Site]:
    """Debian's C smmapd under its master, as relay_recipient_maps."""
    with Postfix(main=_MAIN, socketmap=f"unix:{ground.cyrus.socket_path('smmap')}") as mta:
        mta.start()
        yield Site(name, mta, "relay", (partial(_cyrus, ground),), CyrusChanges(ground))


@contextmanager
def _quota_status(ground: Ground, name: str) -> Iterator[Site]:
    """Dovecot's quota-status: as many users, in a list of its own."""
    server = QuotaStatus(ground.recipients.everyone)
    for user in ground.recipients.full:
        server.users[user] = 1
    with server:
        for user in ground.recipients.full:
            server.deliver(user, MAIL_BYTES)
        with Postfix(main=_MAIN, policy=f"unix:{server.address}") as mta:
            mta.start()
            changes = DovecotChanges(server)
            yield Site(name, mta, "policy", (server.cpu_seconds,), changes, full="5")


@contextmanager
def _gateway(ground: Ground, name: str, front_end: str, more: str = "") -> Iterator[Site]:
    """Ours, at one front end."""
    interface = {"socketmap": "relay"}.get(front_end, front_end)
    with Gateway(front_end, ground.store, quota=True, more=more) as server:
        listens = {front_end: f"unix:{server.address}"}
        with _postfix_asking(**listens) as mta:
            mta.start()
            yield Site(name, mta, interface, (server.cpu_seconds,), CyrusChanges(ground))


def _postfix_asking(
    *, socketmap: str | None = None, policy: str | None = None, milter: str | None = None
) -> Postfix:
    return Postfix(main=_MAIN, socketmap=socketmap, policy=policy, milter=milter)


Open = Callable[[Ground, str], AbstractContextManager[Site]]

# Times of Postfix' verify(8) that a measure can wait for.
SHORT_S = 5
_SHORT = {
    "address_verify_poll_delay": "1s",
    **{
        f"address_verify_{sign}_{what}_time": f"{SHORT_S}s"
        for sign in ("positive", "negative")
        for what in ("refresh", "expire")
    },
}

NOTHING, VERIFY = "nothing", "verify"
VERIFY_SHORT = "short-times"
_OURS: Mapping[str, Open] = {
    "socketmap": partial(_gateway, front_end="socketmap"),
    "policy": partial(_gateway, front_end="policy"),
    "pymilter": partial(_gateway, front_end="milter"),
    "builtin": partial(_gateway, front_end="milter", more=BUILTIN),
}
# Each of ours is there a second time, as its own control.
CONTROLS: Mapping[str, str] = {site: f"{site}-control" for site in _OURS}
SITES: Mapping[str, Open] = {
    NOTHING: _nothing,
    VERIFY: partial(_verify, more={}),
    "quota-status": _quota_status,
    "c-smmapd": _c_smmapd,
    **_OURS,
    **{CONTROLS[site]: opened for site, opened in _OURS.items()},
}
# Only asked how old its answers become.
SHORT_TIMES: Mapping[str, Open] = {VERIFY_SHORT: partial(_verify, more=_SHORT)}
# What each is called in tables and in the picture.
_TITLES: Mapping[str, str] = {
    NOTHING: "Postfix, nobody asked",
    VERIFY: "reject_unverified_recipient, lmtpd",
    "quota-status": "Dovecot quota-status, policy",
    "c-smmapd": "C smmapd, socketmap",
    "socketmap": "ours, socketmap",
    "policy": "ours, policy",
    "pymilter": "ours, milter (pymilter)",
    "builtin": "ours, milter (builtin)",
    VERIFY_SHORT: f"reject_unverified_recipient, its times {SHORT_S} s",
}
TITLES: Mapping[str, str] = {
    **_TITLES,
    **{control: f"control: {_TITLES[site]} twice" for site, control in CONTROLS.items()},
}
