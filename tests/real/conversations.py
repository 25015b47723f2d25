"""What MTAs may say to a milter, at random: every step in every order that there may be.

Versions 2 to 7, offers of more or fewer steps, several mails, clients one after
the other, and macros that are odd.  An MTA does not send what the milter has
asked it to leave out.
"""

from __future__ import annotations

import struct
from random import Random

from gateway.frontends.milter_conversation import UNWANTED
from gateway.protocols import milter
from gateway.protocols.milter import packet

ALL_STEPS = 0x1FFFFF
# Of an MTA that offers nothing at all libmilter believes that it forgot to.
FEW_STEPS = 0x1

_NAMES = (b"fred", b"nobody", b"over", b"broken", b"closed", b"large", b"defect")
_SHAPES = (
    b"<%b@example.org>",
    b"<%b@example.org>",
    b"<%b@example.org>",
    b"%b@example.org",
    b"<away-%b@example.org>",
    b"<%b@other.test>",
    b"<%b>",
    b"<%b(c)@example.org>",
    b"<%b@example.org",
    b"<%b\xff@example.org>",
    b'<"%b"@EXAMPLE.org>',
    b"<@a.test:%b@example.org>",
)
_SENDERS = (
    b"<joe@sender.test>",
    b"<>",
    b"<double-bounce@mx.test>",
    b"<joe\xff@sender.test>",
    b"joe@sender.test",
    b"",
)
_PARAMETERS = (b"SIZE=2000", b"SIZE=10", b"SIZE=x", b"SMTPUTF8", b"BODY=8BITMIME", b"", b"\xff")
# Name of the host, family, address; a port is added where there is one.
_CLIENTS = (
    (b"client.test", b"4", b"192.0.2.1"),
    (b"client.test", b"4", b"192.0.2.9"),
    (b"localhost", b"4", b"127.0.0.1"),
    (b"client.test", b"6", b"IPv6:2001:db8::9"),
    (b"client.test", b"6", b"2001:db8::1"),
    (b"localhost", b"L", b"/run/client"),
    (b"unknown", b"U", None),
)
_MACROS = (
    (b"i", (b"4ABC", b"")),
    (b"{i}", (b"4DEF",)),
    (b"{rcpt_mailer}", (b"lmtp", b"lmtp", b"smtp", b"error", b"")),
    (b"rcpt_mailer", (b"smtp",)),
    (b"{rcpt_host}", (b"inside.test", b"outside.test")),
    (b"{rcpt_addr}", (b"fred@example.org", b"nobody@example.org", b"fred", b"\xff@example.org")),
    (b"{auth_authen}", (b"", b"", b"", b"alice", b"\xff")),
    (b"{client_addr}", (b"192.0.2.9", b"192.0.2.1", b"IPv6:2001:db8::9", b"unknown")),
    (b"{daemon_name}", (b"mx", b"submission")),
)
# Steps that come with macros, and one that nobody knows.
_STAGES = (b"C", b"H", b"M", b"R", b"T", b"E", b"N", b"?")
# How often macros are told before a step, and how often they are not those of the step.
_TOLD, _ODD = 0.8, 0.05


class Speaker:
    """One MTA; `said` are its bytes."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        version = chance.choice((2, 3, 4, 5, 6, 6, 6, 7))
        steps = chance.choice((ALL_STEPS, ALL_STEPS, FEW_STEPS, 0x7F, 0x3FF, 0x301FFFFF))
        self._unwanted = steps & UNWANTED
        self.said = packet(b"O", struct.pack("!III", version, chance.choice((0x3F, 0x1FF)), steps))
        self._has_unknown, self._has_data = version > 2, version > 3

    def speak(self) -> bytes:
        """A whole conversation, from the offer to the farewell."""
        chance = self._chance
        for number in range(chance.choice((1, 1, 1, 2, 3))):
            if number:
                self._say(b"K")
            self._client()
            for _ in range(chance.choice((1, 1, 2, 3))):
                self._mail()
        self._say(b"Q")
        return self.said

    def _say(self, command: bytes, data: bytes = b"") -> None:
        self.said += packet(command, data)

    def _step(self, command: bytes, data: bytes, unwanted: int = 0) -> None:
        """A step that the milter has not asked to be left out, and its macros."""
        if self._chance.random() < _TOLD:
            self._macros(command)
        if self._chance.random() < _ODD:
            self._macros(self._chance.choice(_STAGES))
        if not self._unwanted & unwanted:
            self._say(command, data)

    def _macros(self, stage: bytes) -> None:
        chance = self._chance
        words = [
            word
            for name, values in chance.sample(_MACROS, chance.randrange(len(_MACROS)))
            for word in (name, chance.choice(values))
        ]
        data = b"".join(word + b"\0" for word in words)
        if chance.random() < _ODD:
            # An empty value, empty names, nothing.  A name without any value is left out: libmilter
            # reads on behind its list then, until it finds one or dies (smfi.c, smfi_getsymval).
            data = chance.choice((data + b"{rcpt_mailer}\0\0", b"\0\0" + data, b""))
        self._say(b"D", stage + data)

    def _client(self) -> None:
        chance = self._chance
        host, family, address = chance.choice(_CLIENTS)
        data = host + b"\0" + family
        if address is not None:
            data += struct.pack("!H", chance.choice((0, 4711))) + address + b"\0"
        self._step(b"C", data)
        for _ in range(chance.choice((0, 1, 2))):
            self._step(b"H", b"client.test\0", milter.NO_HELO)

    def _mail(self) -> None:
        chance = self._chance
        words = [chance.choice(_SENDERS), *chance.sample(_PARAMETERS, chance.choice((0, 0, 1, 3)))]
        self._step(b"M", b"".join(word + b"\0" for word in words))
        recipients = chance.choice((0, 1, 1, 2, 5))
        for _ in range(recipients):
            if self._has_unknown and chance.random() < _ODD:
                self._step(b"U", b"FOO\0", milter.NO_UNKNOWN)
            argument = chance.choice(_SHAPES) % chance.choice(_NAMES)
            options = chance.choice((b"", b"NOTIFY=NEVER\0", b"\xff\0"))
            self._step(b"R", argument + b"\0" + options)
        if not recipients or chance.random() < 0.5:
            self._say(b"A")
        else:
            self._message()

    def _message(self) -> None:
        if self._has_data:
            self._step(b"T", b"", milter.NO_DATA)
        for _ in range(2):
            self._step(b"L", b"Subject\0 x\0", milter.NO_HEADERS)
        self._step(b"N", b"", milter.NO_END_OF_HEADERS)
        self._step(b"B", b"text", milter.NO_BODY)
        self._step(b"E", b"")
