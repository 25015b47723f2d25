"""The line of a verdict, whole, as a real gateway writes it for each of its front ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.rigs.gateway import Tables
from tests.rigs.managed import DEADLINE_S, ManagedGateway
from tests.rigs.milter import MilterClient
from tests.rigs.ports import free_ports
from tests.rigs.socketmap import Connection
from tests.rigs.waiting import wait_until

FRONT_ENDS = ("socketmap", "policy", "milter")
SENDER = b"joe@sender.test"
POLICY = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\ninstance=1f2a.1\n"
    b"client_address=192.0.2.1\nsender=%b\nrecipient=%b\n\n"
)

STAMP = r"[-0-9]{10}T[:0-9]{8}[+-]\d{4}"
# What each front end knows, between its mode and the verdict.
WHO = {
    "socketmap": "client=local recipient={recipient}",
    "policy": "instance=1f2a.1 state=RCPT client=192.0.2.1 sender={sender} recipient={recipient}",
    "milter": "queue_id=4ABC client=192.0.2.7 sender={sender} recipient={recipient}",
}
# A gateway that refuses says why, and what it has answered.
UNKNOWN = 'verdict=nonexistent reason="Mailbox does not exist"'
REPLY = {
    "socketmap": 'reply="NOTFOUND Mailbox does not exist"',
    "policy": 'reply="550 5.1.1 User unknown"',
    "milter": 'reply="550 5.1.1 User unknown"',
}
# Where it only observes, it lets pass.
PASSES = {"socketmap": 'reply="OK {}"', "policy": "reply=DUNNO", "milter": "reply=continue"}
_END = re.compile(r" cache=(\w+) microseconds=\d+$")


class Site:
    """A gateway that writes verdicts, and a client of each front end, which stays."""

    def __init__(self, managed: ManagedGateway, stack: ExitStack) -> None:
        self.managed = managed
        socketmap = stack.enter_context(managed.open("socketmap"))
        self._policy = stack.enter_context(managed.open("policy"))
        self._milter = stack.enter_context(MilterClient(managed.path("milter")))
        self._milter.connect(address=b"192.0.2.7")
        self._milter.mail(b"<%b>" % SENDER)
        self.ask: dict[str, Callable[[bytes], bytes]] = {
            "socketmap": socketmap.ask,
            "policy": self._ask_policy,
            "milter": self._ask_milter,
        }

    def _ask_policy(self, recipient: bytes) -> bytes:
        self._policy.send(POLICY % (SENDER, recipient))
        return self._policy.receive()

    def _ask_milter(self, recipient: bytes) -> bytes:
        return self._milter.rcpt(b"<%b>" % recipient, macros={b"i": b"4ABC"})

    def line(self, ask: Callable[[bytes], bytes], recipient: bytes) -> str:
        """The line of a verdict that is asked for now; no other may come with it."""
        before = len(self.managed.logged("verdict", "microseconds"))
        ask(recipient)
        return self.managed.wait_log("verdict", "microseconds", count=before + 1)[before]

    def line_from(self, source: str, front: str, recipient: bytes) -> str:
        """The line of the first question whose answer is from there; what others say stands."""

        def found() -> str | None:
            line = self.line(self.ask[front], recipient)
            told = _END.search(line)
            assert told is not None, line
            return line if told[1] == source else None

        return wait_until(found, f"{front} has an answer from {source}", DEADLINE_S)


@contextmanager
def site(tables: Tables | None = None, **logging: str) -> Iterator[Site]:
    """A gateway with all front ends on a small store."""
    with ExitStack() as stack:
        changed = {**(tables or {}), "logging": {"level": "info", **logging}}
        managed = stack.enter_context(ManagedGateway(changed, milter=True))
        yield Site(managed.begin(), stack)


def start(front: str, recipient: str, verdict: str, sender: str = SENDER.decode()) -> str:
    """A line behind its time, up to where it says how the answer came about."""
    who = WHO[front].format(sender=sender, recipient=recipient)
    return f"info: verdict frontend={front} mode=enforce {who} {verdict}"


def test_lines_are_as_the_files_have_them() -> None:
    """Of the files at first, then remembered; the recipient of each front end is its own."""
    with site() as here:
        for front in FRONT_ENDS:
            recipient = f"nobody-{front}@example.org"
            for source in ("miss", "hit"):
                line = here.line_from(source, front, recipient.encode())
                stamp, _, rest = line.partition(" ")
                assert re.fullmatch(STAMP, stamp)
                assert _END.sub("", rest) == start(front, recipient, f"{UNKNOWN} {REPLY[front]}")
            line = here.line(here.ask[front], b"fred@example.org")
            wanted = start(front, "fred@example.org", "verdict=deliverable")
            assert _END.sub("", line).endswith(wanted)


def test_what_needs_no_look_up() -> None:
    """An address that is none is refused without asking anybody."""
    with site() as here:
        for front in ("policy", "milter"):
            line = here.line(here.ask[front], b"no\x01body@example.org")
            assert "verdict=bad-address" in line
            assert " cache=none " in line


def test_json_has_the_same_fields_of_their_own_types() -> None:
    """The same fields, in the same order, of their own types."""
    common = ["time", "level", "logger", "pid", "message", "frontend", "mode"]
    with site(format="json") as here:
        for front in FRONT_ENDS:
            line = json.loads(here.line(here.ask[front], b"nobody@example.org"))
            who = [word.partition("=")[0] for word in WHO[front].split()]
            outcome = ["verdict", "reason", "reply", "cache", "microseconds"]
            assert list(line) == common + who + outcome
            assert line["message"] == "verdict"
            assert line["recipient"] == "nobody@example.org"
            assert line["cache"] in ("miss", "hit")
            assert isinstance(line["microseconds"], int)


@pytest.mark.parametrize(
    ("addresses", "shown"), [("hashed", r"[0-9a-f]{12}@(example\.org|sender\.test)"), ("off", "-")]
)
def test_no_local_part_is_in_a_private_log(addresses: str, shown: str) -> None:
    """Nobody's local part is in the log, and a hash is the same at every front end."""
    named = {"text": "no {recipient}"}
    with site({"replies.nonexistent": named}, addresses=addresses) as here:
        recipients = set()
        for front in FRONT_ENDS:
            line = here.line(here.ask[front], b"nobody@example.org")
            told = dict(word.split("=", 1) for word in line.split() if "=" in word)
            for name in {"sender", "recipient"} & told.keys():
                assert re.fullmatch(shown, told[name])
            recipients.add(told["recipient"])
            assert "reply=NOTFOUND" in line or 'reply="550 5.1.1"' in line
        assert len(recipients) == 1
        assert not here.managed.logged("nobody")
        assert not here.managed.logged("joe")


def test_a_client_of_the_socketmap_on_tcp() -> None:
    """Has an address."""
    (port,) = free_ports(1)
    with site() as here:
        listen = [f"unix:{here.managed.path('socketmap')}", f"inet:127.0.0.1:{port}"]
        here.managed.configure({"socketmap": {"listen": listen}})
        here.managed.reload()
        with Connection.to(("127.0.0.1", port)) as client:
            line = here.line(client.ask, b"fred@example.org")
        assert "frontend=socketmap mode=enforce client=127.0.0.1 recipient=" in line


def test_a_refusal_that_is_not_carried_out_says_so() -> None:
    """A refusal that is not carried out says so in its place."""
    with site({"": {"mode": "observe"}}) as here:
        for front in FRONT_ENDS:
            line = here.line(here.ask[front], b"nobody@example.org")
            passes = PASSES[front].format("nobody@example.org")
            outcome = f"{UNKNOWN} {passes} not_enforced=observed"
            wanted = start(front, "nobody@example.org", outcome)
            assert _END.sub("", line).endswith(wanted.replace("mode=enforce", "mode=observe"))


def test_a_store_elsewhere() -> None:
    """Asked at first, then remembered, in each process by itself."""
    with site() as store:
        other = {"store": f"socketmap:unix:{store.managed.path('socketmap')}"}
        with site({"": other}) as here:
            for front in FRONT_ENDS:
                recipient = f"nobody-{front}@example.org".encode()
                assert " cache=asked " in here.line(here.ask[front], recipient)
                assert " cache=hit " in here.line(here.ask[front], recipient)


def test_without_verdict_lines() -> None:
    """At level warning verdicts are given and none is written."""
    with site(level="warning") as here:
        for front in FRONT_ENDS:
            assert here.ask[front](b"fred@example.org")
            assert here.ask[front](b"nobody@example.org")
        assert not here.managed.logged("verdict")
