"""The head of a log line before its message: who wrote it, in whichever way it was kept.

Bytes in, `Headed` out; no file is opened here.  A line is unwrapped first (a
container's prefix, a JSON object), then its head is read:

| kept by | head |
|---|---|
| syslog, RFC 3164 | `<22>Nov  2 10:00:00 host program[1]: `; with a year, fractions |
| syslog, ISO 8601 | `2026-11-02T10:00:00.123456+01:00 host program[1]: ` |
| syslog, RFC 5424 | `<22>1 2026-11-02T10:00:00Z host program 1 id [data] ` |
| FreeBSD -v | `Nov  2 10:00:00 <mail.info> host program[1]: ` |
| busybox | `Nov  2 10:00:00 host mail.info program[1]: ` |
| Solaris | `... host program[1]: [ID 197553 mail.info] ` |
| journalctl -o | short, short-precise, short-full, short-iso, short-unix, short-monotonic, json |
| docker | compose's `service-1  | `, `docker logs -t`, the json-file driver's objects |
| Kubernetes (CRI) | `2026-11-02T10:00:00.123456789Z stdout F ` |

No bytes of any line raise an exception.

Limits: the journal's `with-unit`, `verbose` and `json-pretty` do not name the
program on the line; a line that a container's runtime cut in two (CRI's `P`)
is two lines.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

# Wrappers around one another that are taken away: compose's prefix, a runtime's time, an object.
_MAX_WRAPPERS = 3

EXPECTED = (
    "a whole line of syslog (RFC 3164, RFC 5424, or with an ISO 8601 time), of journalctl "
    "(-o short... or json), or one of these behind a container's prefix"
)


@dataclass(frozen=True, slots=True)
class Headed:
    """A line without its head: the program's tag, without `[pid]`, and its message."""

    program: bytes
    message: bytes


_ISO = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z| ?[+-]\d\d:?\d\d)?"
_TIME = (
    rb"(?:"
    rb"[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"  # RFC 3164, precise
    rb"(?: \d{4})?"
    rb"|[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})? [A-Z+-][A-Za-z0-9+:-]{1,7}"
    rb"|" + _ISO + rb"|\d{9,11}\.\d{1,9}"  # short-unix
    rb"|\[ *\d{1,10}\.\d{1,9}\]"  # short-monotonic
    rb")"
)
_HEAD = re.compile(rb"(?:<\d{1,3}>)?" + _TIME + rb" +(?P<rest>.*)", re.DOTALL)

_TAG = rb"(?P<program>[^\s:\[\]<>]+)(?:\[\d+\])?: ?(?P<message>.*)"
# FreeBSD's <facility.severity> before the host, busybox' facility.severity behind it.
_NAMED = re.compile(
    rb"(?:<[\w.]+> )?(?!<|\S+\[\d+\]: )\S+ +"
    rb"(?:(?:kern|user|mail|daemon|auth|syslog|local\d)\.[a-z]+ +)?" + _TAG,
    re.DOTALL,
)
# Where the host is left out (busybox -S, FreeBSD's syslogd without a name).
_NAMED_NO_HOST = re.compile(_TAG, re.DOTALL)
_SOLARIS_ID = re.compile(rb"\[ID \d+ [\w.]+\] ")

_RFC5424 = re.compile(
    rb"<\d{1,3}>1 (?:-|" + _ISO + rb") \S+ (?P<program>\S+) \S+ \S+ "
    rb'(?:-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)(?: (?P<message>.*))?',
    re.DOTALL,
)
_UTF8_MARK = b"\xef\xbb\xbf"

_COMPOSE = re.compile(rb"[\w.-]+ +\| ")
_CRI = re.compile(_ISO + rb" (?:stdout|stderr) [FP] ")
# A runtime's time, known by what follows: a head of its own.
_STAMPED = re.compile(_ISO + rb" (?=(?:<\d{1,3}>)?" + _TIME + rb" )")


def read_head(line: bytes) -> Headed | None:
    """Who wrote `line`, and what; None where it does not begin as any log's line does.

    An empty program means a head after which no program is named.
    """
    for _ in range(_MAX_WRAPPERS):
        if line.startswith(b"{"):
            found = _object(line)
            if found is None or isinstance(found, Headed):
                return found
            line = found
            continue
        wrapper = _COMPOSE.match(line) or _CRI.match(line) or _STAMPED.match(line)
        if wrapper is None:
            break
        line = line[wrapper.end() :]
    return _plain(line)


def _plain(line: bytes) -> Headed | None:
    modern = _RFC5424.fullmatch(line)
    if modern is not None:
        return Headed(modern["program"], (modern["message"] or b"").removeprefix(_UTF8_MARK))
    head = _HEAD.fullmatch(line)
    if head is None:
        return None
    named = _NAMED.fullmatch(head["rest"]) or _NAMED_NO_HOST.fullmatch(head["rest"])
    if named is None:
        return Headed(b"", head["rest"])
    message = named["message"]
    solaris = _SOLARIS_ID.match(message)
    return Headed(named["program"], message[solaris.end() :] if solaris else message)


def _object(line: bytes) -> Headed | bytes | None:
    """An object of the journal as `Headed`, one of docker as the line in it; else None."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    log = found.get("log")
    if isinstance(log, str):
        return log.rstrip("\n").encode("utf-8", "surrogatepass")
    message = _bytes(found.get("MESSAGE"))
    if message is None:
        return None
    program = _bytes(found.get("SYSLOG_IDENTIFIER")) or _bytes(found.get("_COMM")) or b""
    return Headed(program, message)


def _bytes(value: object) -> bytes | None:
    """A field of the journal: a string, or a list of bytes where it is not UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, list) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        return bytes(value)
    return None
