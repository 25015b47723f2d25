"""Plays a case at an interface: every reply as it came, queue ids written ID."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.verification.decider import Engine
from gateway.verification.model import Query
from tests.interfaces.model import POSTFIX, SENDMAIL, Case, Flow, Interface, Rcpt
from tests.rigs.gateway import Gateway
from tests.rigs.milter import MilterClient
from tests.rigs.postfix import Postfix
from tests.rigs.sendmail import Sendmail
from tests.rigs.smtp import Conversation
from tests.rigs.socketmap import Connection

_IDS = (re.compile(rb"(?<=queued as )\w+"), re.compile(rb"(?<=^250 2\.0\.0 )\w+(?= Message )"))
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class MailSite:
    """Everything that can be asked: the engine, one gateway, and MTAs that ask it.

    Two Postfixes, because the virtual settings count for all interfaces of one.
    """

    verifier: Engine
    gateway: Gateway
    maps: Postfix
    postfix: Postfix
    sendmail: Sendmail

    def smtp(self, interface: Interface) -> tuple[str, int]:
        """Where an SMTP client finds an MTA's interface."""
        return {
            Interface.POSTFIX_MAPS: lambda: self.maps.address("relay"),
            Interface.POSTFIX_POLICY: lambda: self.postfix.address("policy"),
            Interface.POSTFIX_MILTER: lambda: self.postfix.address("milter"),
            Interface.SENDMAIL_MAP: lambda: self.sendmail.address("map"),
            Interface.SENDMAIL_MILTER: lambda: self.sendmail.address("milter"),
        }[interface]()

    def play(self, interface: Interface, case: Case) -> list[bytes]:
        """The replies that the interface gives in a case."""
        return _CONVERSATIONS[interface](self, interface, case)


def _engine(site: MailSite, _interface: Interface, case: Case) -> list[bytes]:
    sizes = [case.size] if case.message is None else [case.size, case.message]
    return _repeated(
        case,
        [
            site.verifier.verify(Query(rcpt.address, size)).kind.name.encode()
            for size in sizes
            for rcpt in case.rcpts
        ],
    )


def _socketmap(site: MailSite, _interface: Interface, case: Case) -> list[bytes]:
    keys = [rcpt.address for rcpt in case.rcpts]
    with Connection.to(site.gateway.path("socketmap")) as client:
        if case.flow is Flow.PIPELINED:
            return client.ask_pipelined(keys)
        return [client.ask(key) for key in _repeated(case, keys)]


def _policy(site: MailSite, _interface: Interface, case: Case) -> list[bytes]:
    state = b"VRFY" if case.flow is Flow.VRFY else b"RCPT"
    requests = _repeated(case, [policy_request(case, r, state, case.size) for r in case.rcpts])
    if case.message is not None:
        (rcpt,) = case.rcpts
        requests.append(policy_request(case, rcpt, b"END-OF-MESSAGE", case.message))
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_TIMEOUT_S)
        link.connect(site.gateway.path("policy"))
        if case.flow is Flow.PIPELINED:
            link.sendall(b"".join(requests))
            return [_action(link) for _ in requests]
        return [ask_policy(link, request) for request in requests]


def policy_request(
    case: Case, rcpt: Rcpt, state: bytes = b"RCPT", size: int | None = None
) -> bytes:
    """One request as Postfix 3.7 sends it, as far as the gateway looks at it."""
    attributes = {
        b"request": b"smtpd_access_policy",
        b"protocol_state": state,
        b"protocol_name": b"ESMTP",
        b"helo_name": b"client.test",
        b"queue_id": b"",
        b"sender": b"" if state == b"VRFY" else case.sender,
        b"recipient": rcpt.address,
        b"recipient_count": b"1" if state == b"END-OF-MESSAGE" else b"0",
        b"client_address": case.client.encode(),
        b"client_name": b"unknown",
        b"instance": b"123.456.7",
        b"sasl_username": case.login.encode(),
        b"size": b"%d" % (size or 0),
    }
    return b"".join(b"%s=%s\n" % pair for pair in attributes.items()) + b"\n"


def ask_policy(link: socket.socket, request: bytes) -> bytes:
    """Send one request and read its action."""
    link.sendall(request)
    return _action(link)


def _action(link: socket.socket) -> bytes:
    reply = b""
    while not reply.endswith(b"\n\n"):
        # Byte by byte: what follows belongs to the next reply.
        byte = link.recv(1)
        assert byte, f"closed after {reply!r}"
        reply += byte
    return reply.removeprefix(b"action=").removesuffix(b"\n\n")


def _milter(site: MailSite, _interface: Interface, case: Case) -> list[bytes]:
    parameters = [b"SIZE=%d" % case.size] if case.size is not None else []
    parameters += [b"SMTPUTF8"] if case.smtputf8 else []
    replies: list[bytes] = []
    with MilterClient(site.gateway.path("milter")) as mta:
        family = b"6" if ":" in case.client else b"4"
        mta.connect(b"client.test", case.client.encode(), family=family)
        mails = 2 if case.flow in (Flow.RSET, Flow.TWO_MAILS) else 1
        for number in range(mails):
            if number and case.flow is Flow.RSET:
                mta.abort()
            macros = {b"i": b"ID", b"{auth_authen}": case.login.encode()}
            mta.mail(b"<%s>" % case.sender, *parameters, macros=macros)
            replies += [mta.rcpt(b"<%s>" % rcpt.argument) for rcpt in case.rcpts]
            if case.flow is Flow.TWO_MAILS or case.message is not None:
                replies.append(mta.message())
    return replies


def _smtp(site: MailSite, interface: Interface, case: Case) -> list[bytes]:
    source = None if case.needs_xclient else case.client
    with Conversation(site.smtp(interface), source=source) as client:
        if case.needs_xclient:
            _become(client, case)
        if case.flow is Flow.VRFY:
            return [client.command(b"VRFY " + rcpt.argument).last for rcpt in case.rcpts]
        if case.flow is Flow.PIPELINED:
            lines = [_mail(case), *(b"RCPT TO:<%s>" % rcpt.argument for rcpt in case.rcpts)]
            return [reply.last for reply in client.pipeline(lines)[1:]]
        replies = _smtp_mail(client, case)
        if case.flow is Flow.RSET:
            assert client.rset().code == 250
        if case.flow in (Flow.RSET, Flow.TWO_MAILS):
            replies += _smtp_mail(client, case)
        return replies


def _smtp_mail(client: Conversation, case: Case) -> list[bytes]:
    client.command(_mail(case))
    replies = [client.rcpt(rcpt.argument).last for rcpt in case.rcpts]
    if case.flow is Flow.TWO_MAILS:
        replies.append(without_id(client.data().last))
    if case.message is not None:
        line = b"x" * 76 + b"\r\n"
        replies.append(without_id(client.data(line * (case.message // len(line))).last))
    return replies


def _mail(case: Case) -> bytes:
    words = [b"MAIL FROM:<%s>" % case.sender]
    words += [b"SIZE=%d" % case.size] if case.size is not None else []
    words += [b"SMTPUTF8"] if case.smtputf8 else []
    return b" ".join(words)


def _become(client: Conversation, case: Case) -> None:
    """Be the client that the case names, by Postfix' XCLIENT."""
    if case.login:
        client.xclient(login=case.login)
    else:
        client.xclient(addr=f"IPV6:{case.client}")


def without_id(reply: bytes) -> bytes:
    """A reply to a message with its queue id written ID."""
    for pattern in _IDS:
        reply = pattern.sub(b"ID", reply)
    return reply


def _repeated(case: Case, asked: Iterable[bytes]) -> list[bytes]:
    once = list(asked)
    return once * 2 if case.flow in (Flow.RSET, Flow.TWO_MAILS) else once


_CONVERSATIONS: Mapping[Interface, Callable[[MailSite, Interface, Case], list[bytes]]] = {
    Interface.ENGINE: _engine,
    Interface.SOCKETMAP: _socketmap,
    Interface.POLICY: _policy,
    Interface.MILTER: _milter,
    **dict.fromkeys((*POSTFIX, *SENDMAIL), _smtp),
}
