"""What is fuzzed: each target is called with bytes, and raises only where something is wrong.

Wrong is an exception that the parser does not promise, a result that depends
on how the bytes are cut, or more reads than the size of a file explains.

SQLite files are left out: the bytes are read by SQLite, which is fuzzed by
its own project; what we make of its errors is in tests/faults.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.cli import maillog
from gateway.cyrus import acl, dlist, imapdconf, mutf7
from gateway.cyrus.db import formats
from gateway.cyrus.db.base import Database
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.flat import Flat
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.cyrus.db.twom import twom
from gateway.cyrus.db.twom.twom import Twom
from gateway.cyrus.db.twoskip import format as twoskip_format
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.cyrus.mailboxlist import MailboxList
from gateway.cyrus.quota import QuotaRoots
from gateway.cyrus.userdeny import UserDeny
from gateway.errors import ConfigurationError, ProtocolError, StoreError
from gateway.frontends import aliases, domains
from gateway.protocols import (
    address,
    lmtp,
    milter,
    milter_macros,
    policy,
    policy_shapes,
    socketmap,
)
from tests.fuzz import seeds
from tests.support.memory import MemoryDatabase


@dataclass(frozen=True)
class Target:
    """`run` is called with bytes; `seeds` are where to begin."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def _cut(data: bytes) -> tuple[bytes, int]:
    """The input, and a piece length that its first byte chooses."""
    return data[1:], data[0] + 1 if data else 1


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# Protocols.


def netstring(data: bytes) -> None:
    """Any pieces of the same bytes give the same requests and the same error."""
    text, size = _cut(data)
    whole, cut = socketmap.Decoder(), socketmap.Decoder()
    requests = whole.feed(text)
    assert requests == [request for piece in _pieces(text, size) for request in cut.feed(piece)]
    for decoder in (whole, cut):
        decoder.end()
    assert str(whole.error) == str(cut.error)
    for request in requests:
        assert len(request) <= socketmap.MAX_REQUEST


def policy_request(data: bytes) -> None:
    """Any pieces give the same requests; an error in one is an error in the other."""
    text, size = _cut(data)
    whole, cut = policy.PolicyParser(), policy.PolicyParser()
    requests = whole.feed(text)
    assert requests == [request for piece in _pieces(text, size) for request in cut.feed(piece)]
    for parser in (whole, cut):
        parser.end()
    assert (whole.error is None) == (cut.error is None)
    shapes = policy_shapes.Shapes()
    first, again = shapes.read(text), shapes.read(text)
    assert (first is None) == (again is None)
    if first is not None:
        assert len(requests) == 1
        assert whole.error is None


def milter_packets(data: bytes) -> None:
    """Any pieces give the same events and the same error; macros are read, whatever they are."""
    text, size = _cut(data)
    text = seeds.MILTER_OFFER + text
    whole, cut = milter.MilterParser(), milter.MilterParser()
    events = whole.feed(text)
    assert events == [event for piece in _pieces(text, size) for event in cut.feed(piece)]
    for parser in (whole, cut):
        parser.end()
    assert str(whole.error) == str(cut.error)
    table = milter_macros.MacroTable()
    for event in events:
        if isinstance(event, milter.Macros):
            table.tell(event)
        elif isinstance(event, milter.MilterStep):
            table.step(event.command)
        assert b"\0" not in b"".join(map(table.value, ("i", "{rcpt_mailer}", "{auth_authen}")))


def lmtp_replies(data: bytes) -> None:
    """Any pieces give the same replies; each can be shown."""
    text, size = _cut(data)
    whole, cut = lmtp.ReplyDecoder(), lmtp.ReplyDecoder()
    replies = whole.feed(text)
    assert replies == [reply for piece in _pieces(text, size) for reply in cut.feed(piece)]
    assert (whole.error is None) == (cut.error is None)
    for reply in replies:
        assert 200 <= reply.code <= 599
        str(reply)
        lmtp.features(reply)


def addresses(data: bytes) -> None:
    """Whatever an address is, it has no control byte when it is believed."""
    for parse in (address.parse_path, address.parse_bare):
        parsed = parse(data)
        if isinstance(parsed, address.Address):
            assert not any(byte < 32 for byte in parsed.address)
    try:
        command = lmtp.rcpt(data)
    except ProtocolError:
        return
    assert command.count(b"\n") == 1
    assert b">" not in data.rpartition(b"@")[2] or b"@" not in data


def recipients(data: bytes) -> None:
    """Every recipient has a name, by the long way and by the short one."""
    for naming in _NAMINGS:
        name = naming.readings(data)[0]
        plain = naming.plain(data)
        if plain is not None:
            assert plain[0] == name.dbkey
    with suppress(ValueError):
        mutf7.decode(data)


# Files.


def imapd_conf(data: bytes) -> None:
    """A file is a configuration or a ConfigurationError, which names it."""
    path = _file(data.replace(b"@include", b"#include"))
    try:
        imapdconf.load(path, "smmap")
    except ConfigurationError as error:
        assert path in str(error)


def alias_file(data: bytes) -> None:
    """Each line is an alias, skipped, or told."""
    _found, problems = aliases.parse(data)
    assert len(problems) <= data.count(b"\n") + 1
    domains.parse(data)


def mail_log(data: bytes) -> None:
    """Any pieces give the same lines; each is attempts or skipped."""
    text, size = _cut(data)
    whole, cut = maillog.Splitter(), maillog.Splitter()
    lines = whole.feed(text) + whole.end()
    assert lines == [line for piece in _pieces(text, size) for line in cut.feed(piece)] + cut.end()
    for line in lines:
        maillog.read_line(line)


# Records of databases.


def dlists(data: bytes) -> None:
    """A value is a dlist or a DlistError; the lenient parser always ends."""
    with suppress(dlist.DlistError):
        for _event in dlist.events(data):
            pass
    with suppress(dlist.DlistError):
        dlist.items(data)


def records(data: bytes) -> None:
    """A record of mailbox list, quota or userdeny is one, or a StoreError."""
    key = b"Nuser\x1ffred"
    for read in (
        lambda: MailboxList(MemoryDatabase({key: data})).lookup(_NAMINGS[0].recipient(b"fred")),
        lambda: QuotaRoots(MemoryDatabase({b"user.fred": data})).find(b"user.fred"),
        lambda: UserDeny(MemoryDatabase({b"fred": data})).check(b"fred", b"smmap"),
    ):
        with suppress(StoreError):
            read()
    acl.rights(data)


# Database files.

# Reads for each byte of the file, at most: a search meets a record once a level, and starts
# over (twoskip.DAMAGED_ATTEMPTS, twom.WALKS) where it looks damaged.
_READS = 16
_FLOOR = 4000


class _Counted(FileView):
    """A view that takes a bounded number of reads."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(path)
        self.left = _FLOOR + _READS * size

    def peek(self, offset: int, length: int) -> bytes:
        self.left -= 1
        assert self.left, "reading does not come to an end"
        return super().peek(offset, length)


def _database(opened: Callable[[FileView], Database]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        path = _file(data)
        view = _Counted(path, len(data))
        with suppress(StoreError):
            database = opened(view)
            database.state()
            for ask in (
                lambda: database.get(b"Nuser\x1fanna"),
                lambda: database.get(b"Nuser\x1fzoe"),
                lambda: list(database.items()),
                lambda: list(database.items(b"Nuser\x1fb")),
            ):
                view.left = _FLOOR + _READS * len(data)
                with suppress(StoreError):
                    ask()
            _prepared(database)
        view.left = _FLOOR
        formats.detect_view(view)
        view.close()

    return run


def _prepared(database: Database) -> None:
    """The same with an index, where the format has one."""
    if isinstance(database, Twoskip):
        while database.build_index_step():
            pass
        database.state()
        absent = database.known_absent(b"Nuser\x1fanna")
        assert not absent or database.get(b"Nuser\x1fanna") is None


def _sealed(run: Callable[[bytes], None], *checks: tuple[object, str]) -> Callable[[bytes], None]:
    """The same target with checksums that are always right, so that what is behind them is met."""

    def sealed(data: bytes) -> None:
        saved = [getattr(module, name) for module, name in checks]
        for module, name in checks:
            setattr(module, name, _no_checksum)
        try:
            run(data)
        finally:
            for (module, name), value in zip(checks, saved, strict=True):
                setattr(module, name, value)

    return sealed


class _AnyNumber(int):
    """Equal to every checksum."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _no_checksum(*_: object) -> _AnyNumber:
    return _AnyNumber()


def _without_checksums(view: FileView) -> Twom:
    database = Twom(view)
    database._checksum = None
    database._walk._checksum = None
    return database


twom.HEADER_PAUSE = 0
_FOLDER = tempfile.TemporaryDirectory()
_PATH = os.path.join(_FOLDER.name, "input")
_twoskip = _database(Twoskip)
_NAMINGS = seeds.NAMINGS


def _file(data: bytes) -> str:
    with open(_PATH, "wb") as file:
        file.write(data)
    return _PATH


TARGETS = {
    "netstring": Target(netstring, seeds.NETSTRINGS),
    "policy": Target(policy_request, seeds.POLICY),
    "milter": Target(milter_packets, seeds.MILTER),
    "lmtp": Target(lmtp_replies, seeds.LMTP),
    "address": Target(addresses, seeds.ADDRESSES),
    "recipient": Target(recipients, seeds.ADDRESSES),
    "imapd-conf": Target(imapd_conf, seeds.CONFIGURATIONS),
    "aliases": Target(alias_file, seeds.ALIASES),
    "maillog": Target(mail_log, seeds.LOGS),
    "dlist": Target(dlists, seeds.RECORDS),
    "records": Target(records, seeds.RECORDS),
    "twoskip": Target(_twoskip, seeds.file_of("twoskip")),
    "twoskip-sealed": Target(
        _sealed(_twoskip, (twoskip_format, "crc32")), seeds.file_of("twoskip")
    ),
    "twom": Target(_database(Twom), seeds.file_of("twom")),
    "twom-sealed": Target(_database(_without_checksums), seeds.file_of("twom")),
    "skiplist": Target(_database(Skiplist), seeds.file_of("skiplist")),
    "flat": Target(_database(Flat), seeds.file_of("flat")),
}
