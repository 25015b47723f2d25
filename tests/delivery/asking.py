"""The gateway asked about recipients at its front ends, all of them quickly.

    with Asker(cyrus, tables) as asker:
        answers = asker.ask([b"fred@example.com", ...])   # an Answer each

`folded` is the socketmap asked as Postfix' smtpd asks it: in lower case.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.delivery.lmtpd import MAIL_SIZE, quoted
from tests.delivery.sites import DOMAINS
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.socketmap import Connection

FRONT_ENDS = ("socketmap", "folded", "policy", "milter")
# So many questions that neither side's socket buffer fills up.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """What one front end said: whether mail is taken, later perhaps, or never; and its words."""

    outcome: str  # `accepted`, `deferred` or `refused`
    said: bytes


class Asker:
    """A gateway on a store, and a client at each of its front ends."""

    def __init__(self, imapd_conf: str, tables: Tables) -> None:
        scope: Mapping[str, list[str]] = {
            "domains": [*DOMAINS],
            "exempt_recipients": [],
        }
        self._gateway = Gateway(imapd_conf, {**tables, "scope": scope})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._gateway)
            self._gateway.start()
            self._map = stack.enter_context(Connection.to(self._gateway.path("socketmap")))
            self._policy = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._policy.connect(self._gateway.path("policy"))
            self._milter = stack.enter_context(MilterClient(self._gateway.path("milter")))
            self._milter.connect()
            self._milter.mail(b"<>", b"SIZE=%d" % MAIL_SIZE)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def ask(self, recipients: Sequence[bytes]) -> list[dict[str, Answer]]:
        """For each recipient, what each front end says of it."""
        answers: list[dict[str, Answer]] = []
        for start in range(0, len(recipients), _AT_ONCE):
            some = recipients[start : start + _AT_ONCE]
            columns = (
                map(_of_map, self._map.ask_pipelined(some)),
                map(_of_map, self._map.ask_pipelined([each.lower() for each in some])),
                map(_of_policy, self._ask_policy(some)),
                map(_of_milter, (self._milter.rcpt(b"<%s>" % quoted(each)) for each in some)),
            )
            rows = zip(*columns, strict=True)
            answers += [dict(zip(FRONT_ENDS, row, strict=True)) for row in rows]
        return answers

    def _ask_policy(self, recipients: Sequence[bytes]) -> list[bytes]:
        self._policy.sendall(b"".join(map(_request, recipients)))
        reply = b""
        while reply.count(b"\n\n") < len(recipients):
            more = self._policy.recv(65536)
            if not more:
                raise AssertionError(f"the policy service closed after {reply!r}")
            reply += more
        return reply.split(b"\n\n")[:-1]


def _request(recipient: bytes) -> bytes:
    return (
        b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
        b"client_address=192.0.2.1\nsender=\nrecipient=%s\nsize=%d\n\n" % (recipient, MAIL_SIZE)
    )


def _of_map(reply: bytes) -> Answer:
    word = reply.split(b" ", 1)[0]
    outcomes = {b"OK": "accepted", b"NOTFOUND": "refused", b"PERM": "refused"}
    return Answer(outcomes.get(word, "deferred"), reply)


def _of_policy(reply: bytes) -> Answer:
    said = reply.removeprefix(b"action=")
    return Answer(_outcome(said, b"DUNNO"), said)


def _of_milter(reply: bytes) -> Answer:
    return Answer(_outcome(reply, CONTINUE), reply)


def _outcome(said: bytes, good: bytes) -> str:
    if said == good:
        return "accepted"
    return "refused" if said.startswith((b"5", b"REJECT")) else "deferred"
