"""The rows that are answered differently on purpose: the one list, with the reasons.

Every other row of the golden data is equal, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.protocols.socketmap import MAX_REQUEST, encode
from tests.golden import Configuration, Row
from tests.support.cprogram import FAULTS, as_ours


@dataclass(frozen=True)
class Difference:
    """One intended difference: why, which rows, and what the reply is instead."""

    name: str
    reason: str
    applies: Callable[[Configuration, Row], bool]
    reply: Callable[[Configuration, Row], bytes]


_WRONG_SIZE = encode(b"PERM Bad protocol (request size doesn't match length)")
_NOTFOUND = encode(b"NOTFOUND Mailbox does not exist")


def _payload(row: Row) -> bytes:
    return row.reply.partition(b":")[2].removesuffix(b",")


def _announced(row: Row) -> int:
    digits = row.query.partition(b":")[0]
    return int(digits) if digits.isdigit() else 0


_DEFAULT_DOMAIN = b"example.com"


def _capital_default_domain(configuration: Configuration, row: Row) -> bool:
    domain = row.key.rpartition(b"@")[2]
    return (
        configuration.keeps_domains
        and domain != _DEFAULT_DOMAIN
        and domain.lower() == _DEFAULT_DOMAIN
    )


def _reply_without_domain(configuration: Configuration, row: Row) -> bytes:
    """What the same recipient gets where the default domain is left away."""
    local = row.key.rpartition(b"@")[0]
    if local == b"denmsg+x":
        local = b"denmsg"  # blocked, whatever the folder; this one was not asked without domain
    return _with_key(configuration.reply_to(local), row.key)


def _with_key(reply: bytes, key: bytes) -> bytes:
    return encode(b"OK " + key) if reply.partition(b":")[2].startswith(b"OK ") else reply


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "long requests",
        "A request of up to 10 240 bytes is answered, and such a name is in no list; the C"
        " program reads it into a buffer of 1 KiB.",
        lambda _, row: 4096 <= _announced(row) <= MAX_REQUEST,
        lambda _, __: _NOTFOUND,
    ),
    Difference(
        "requests across a buffer's end",
        "A request that arrives in several packets is one request; the C program stops where its"
        " buffer of 4 KiB cuts one of 2000 requests in two.",
        lambda _, row: row.key == b"seq-2000",
        lambda configuration, _: (
            (configuration.reply_to(b"alice") + configuration.reply_to(b"nobody")) * 1000
        ),
    ),
    Difference(
        "SQL keys are parameters",
        "A quote in a key is a character and long keys work; these names are not in the list.",
        lambda configuration, row: (
            configuration.set == "head-sql" and (b"'" in row.key or len(row.key) > 400)
        ),
        lambda _, __: _NOTFOUND,
    ),
    Difference(
        "lengths beyond 2^31-1",
        "A length that is too long gets one PERM and a close, however long it is; the C program"
        " closes without a word.",
        lambda _, row: _announced(row) > 2**31 - 1,
        lambda _, __: _WRONG_SIZE,
    ),
    Difference(
        "faults are temporary",
        "A fault of the server must not refuse a mail for ever: TEMP with the same text.",
        lambda _, row: _payload(row) in FAULTS,
        lambda _, row: encode(as_ours(_payload(row))),
    ),
    Difference(
        "NUL bytes",
        "No name holds a NUL byte; the C program reads the key up to there and answers for that.",
        lambda _, row: b"\0" in row.query.partition(b" ")[2],
        lambda _, __: _NOTFOUND,
    ),
    Difference(
        "default domain in capitals",
        "Domains have no case. The C program looks such a recipient up and forgets its quota and"
        " its block, or does not find it.",
        _capital_default_domain,
        _reply_without_domain,
    ),
    Difference(
        "another spelling of a user",
        "With a postuser, an empty local part reaches the user that the folders name; the C"
        " program finds the mailbox and forgets its quota.",
        lambda configuration, row: (
            configuration.name == "postuser-bb" and row.key in (b"+over", b"+over/Child")
        ),
        lambda _, __: encode(b"TEMP Over quota"),
    ),
    Difference(
        "empty deny message",
        "NOTFOUND with nothing behind it tells nobody why; the default text is said instead.",
        lambda _, row: row.reply == b"9:NOTFOUND ,",
        lambda _, __: encode(b"NOTFOUND Access to this service has been blocked"),
    ),
)


def expected(configuration: Configuration, row: Row) -> bytes:
    """What the reply to `row` must be: the C program's, or the intended difference."""
    for difference in DIFFERENCES:
        if difference.applies(configuration, row):
            return difference.reply(configuration, row)
    return row.reply
