"""Heads of log lines, as the world's loggers write them: the table is the specification."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.logheads import Headed, read_head

MESSAGE = b"3D1: to=<fred@example.org>, relay=mx, delay=1, dsn=2.0.0, status=sent (ok)"
TAGGED = b"postfix/lmtp[2]: " + MESSAGE
LINE = b"Nov  2 10:00:00 mx " + TAGGED
POSTFIX = Headed(b"postfix/lmtp", MESSAGE)


def journal(**fields: object) -> bytes:
    """A line of `journalctl -o json`."""
    return json.dumps({"PRIORITY": "6", "__CURSOR": "s=1", **fields}).encode()


UNDERSTOOD = {
    "rfc3164": LINE,
    "rfc3164, priority": b"<22>" + LINE,
    "rfc3164, one-digit day": b"Nov 2 10:00:00 mx " + TAGGED,
    "rfc3164, day of two digits": b"Nov 22 10:00:00 mx " + TAGGED,
    "rfc3164, year": b"Nov  2 2026 10:00:00 mx " + TAGGED,
    "rfc3164, year behind": b"Nov  2 10:00:00 2026 mx " + TAGGED,
    "rfc3164, no process": b"Nov  2 10:00:00 mx postfix/lmtp: " + MESSAGE,
    "rfc3164, an address for a name": b"Nov  2 10:00:00 2001:db8::1 " + TAGGED,
    "iso": b"2026-11-02T10:00:00.123456+01:00 mx " + TAGGED,
    "iso, utc": b"2026-11-02T10:00:00Z mx " + TAGGED,
    "iso, blank": b"2026-11-02 10:00:00,123 mx " + TAGGED,
    "rfc5424": b"<22>1 2026-11-02T10:00:00.123Z mx postfix/lmtp 2 - - " + MESSAGE,
    "rfc5424, data": b'<22>1 2026-11-02T10:00:00Z mx postfix/lmtp 2 ID [a@1 b="\\"]"][c] ' + MESSAGE,
    "rfc5424, mark": b"<22>1 2026-11-02T10:00:00Z mx postfix/lmtp - - - \xef\xbb\xbf" + MESSAGE,
    "rfc5424, no time": b"<22>1 - mx postfix/lmtp - - - " + MESSAGE,
    "freebsd -v": b"Nov  2 10:00:00 <mail.info> mx " + TAGGED,
    "freebsd -vv": b"Nov  2 10:00:00 <2.6> mx " + TAGGED,
    "busybox": b"Nov  2 10:00:00 mx mail.info " + TAGGED,
    "no host": b"Nov  2 10:00:00 " + TAGGED,
    "solaris": b"Nov  2 10:00:00 mx postfix/lmtp[2]: [ID 197553 mail.info] " + MESSAGE,
    "journalctl -o short-precise": b"Nov 02 10:00:00.123456 mx " + TAGGED,
    "journalctl -o short-full": b"Mon 2026-11-02 10:00:00 CET mx " + TAGGED,
    "journalctl -o short-full, a zone without a name": b"Mon 2026-11-02 10:00:00 +0530 mx " + TAGGED,
    "journalctl -o short-iso": b"2026-11-02T10:00:00+0100 mx " + TAGGED,
    "journalctl -o short-iso-precise": b"2026-11-02T10:00:00.123456+0100 mx " + TAGGED,
    "journalctl -o short-unix": b"1793610000.123456 mx " + TAGGED,
    "journalctl -o short-monotonic": b"[  123.456789] mx " + TAGGED,
    "journalctl -o json": journal(SYSLOG_IDENTIFIER="postfix/lmtp", MESSAGE=MESSAGE.decode()),
    "journalctl -o json, bytes": journal(SYSLOG_IDENTIFIER="postfix/lmtp", MESSAGE=list(MESSAGE)),
    "journalctl -o json, command": journal(_COMM="postfix/lmtp", MESSAGE=MESSAGE.decode()),
    "docker compose": b"mail-1  | " + LINE,
    "docker compose, dots": b"my_mail.server-12 | " + LINE,
    "docker logs -t": b"2026-11-02T10:00:00.123456789Z " + LINE,
    "docker compose logs -t": b"mail  | 2026-11-02T10:00:00.123456789Z " + LINE,
    "docker json-file": json.dumps({"log": LINE.decode() + "\n", "stream": "stdout"}).encode(),
    "cri": b"2026-11-02T10:00:00.123456789+01:00 stdout F " + LINE,
    "cri, iso inside": b"2026-11-02T10:00:00.1Z stderr F 2026-11-02T10:00:00+01:00 mx " + TAGGED,
}  # fmt: skip

STRANGE = [
    b"",
    b"hello",
    b"{",
    b"{}",
    b"[]",
    b'{"MESSAGE": null, "SYSLOG_IDENTIFIER": "postfix/lmtp"}',
    b'{"MESSAGE": [256], "SYSLOG_IDENTIFIER": "postfix/lmtp"}',
    b'{"MESSAGE": {"a": 1}}',
    b"3D1: to=<fred@example.org>, dsn=2.0.0, status=sent (ok)",
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("line", UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_program_and_message_are_read_from_any_head(line: bytes) -> None:
    """Program and message come out alike, however the line was kept."""
    assert read_head(line) == POSTFIX


@pytest.mark.parametrize("line", STRANGE)
def test_what_is_no_line_of_a_log(line: bytes) -> None:
    """It has no head."""
    assert read_head(line) is None


def test_a_head_without_a_program() -> None:
    """`last message repeated` and the like: nobody's line."""
    found = read_head(b"Nov  2 10:00:00 mx last message repeated 3 times")
    assert found is not None
    assert found.program == b""


@given(st.binary(max_size=300), st.sampled_from(list(UNDERSTOOD.values())), st.integers(0, 80))
def test_no_line_raises(tail: bytes, line: bytes, cut: int) -> None:
    """Any bytes, and any beginning of a line with anything behind it, are read or are not."""
    for each in (tail, line[:cut] + tail, b'{"log": ' * 40 + tail):
        found = read_head(each)
        assert found is None or isinstance(found, Headed)
