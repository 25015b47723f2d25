"""What smmapd writes to syslog, line by line."""

from __future__ import annotations

import syslog as system

import pytest

from gateway.verification.kinds import AUDIT_EVENTS, KINDS, Kind
from gateway.verification.model import Evidence, Verdict
from smmapd import syslog
from smmapd.syslog import (
    CLIENT_LINES,
    LIMIT_SECONDS,
    MAX_KINDS,
    MAX_LINE,
    ClientLog,
    SyslogVerdicts,
    audit_line,
    printable,
)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Every line that goes to the C library, with its priority."""
    seen: list[tuple[int, str]] = []
    monkeypatch.setattr(system, "syslog", lambda *line: seen.append(line))
    return seen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        (b"plain", "plain"),
        ("für", "für"),
        ("für".encode(), "für"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("line\nbreak\r\t\0\x1b[31m", "line\\nbreak\\r\\t\\x00\\x1b[31m"),
        ("\u202eright to left", "\\u202eright to left"),
        (b"\x7f\xc2\x85", "\\x7f\\x85"),
        ("a b", "a b"),
    ],
)
def test_nothing_that_is_logged_can_forge_a_line(text: str | bytes, shown: str) -> None:
    """Control bytes, invalid UTF-8 and what turns the reader's terminal are escaped."""
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, "\n" * 5000, b"\xff" * 5000])
def test_long_text_is_cut(text: str | bytes) -> None:
    """One line, whatever a client sends; characters stay whole."""
    shown = printable(text)
    assert shown.endswith("...")
    assert len(shown.encode()) <= MAX_LINE + 3


@pytest.mark.parametrize(
    ("key", "kind", "reason", "line"),
    [
        (b"fred", Kind.DELIVERABLE, b"", "event=ok u.username=fred r.clienthost=[local]"),
        (
            b"no",
            Kind.NONEXISTENT,
            b"Mailbox does not exist",
            'event=nonexistent u.username=no r.clienthost=[local] reason="Mailbox does not exist"',
        ),
        (
            b'a"b\\c',
            Kind.OVER_QUOTA,
            b"Over quota",
            'event=overquota u.username="a\\"b\\\\c" r.clienthost=[local] reason="Over quota"',
        ),
        (
            b"x=y",
            Kind.OVER_QUOTA_PERMANENT,
            b"x",
            'event=overquota u.username="x=y" r.clienthost=[local] reason=x',
        ),
        (
            b"",
            Kind.DENIED,
            b"no\nevent=ok",
            'event=denied u.username="" r.clienthost=[local] reason="no\\\\nevent=ok"',
        ),
        (b"f", Kind.NOT_POSTABLE, b"", "event=failed u.username=f r.clienthost=[local]"),
        (b"f", Kind.STORE_FAULT, b"", "event=failed u.username=f r.clienthost=[local]"),
    ],
)
def test_no_field_is_forged(key: bytes, kind: Kind, reason: bytes, line: str) -> None:
    """Cyrus' logfmt: fields are quoted where they need it, so that none can forge another."""
    assert audit_line(key, Verdict(kind, reason), "[local]") == line


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_has_an_event_of_the_c_program(kind: Kind) -> None:
    """ok, nonexistent, overquota, denied or failed (imap/smmapd.c)."""
    event = audit_line(b"k", Verdict(kind, b""), "[::1]").partition(" ")[0]
    assert event.removeprefix("event=") in AUDIT_EVENTS


def test_without_auditlog_an_ordinary_verdict_is_no_line(lines: list[tuple[int, str]]) -> None:
    """A service at work is quiet."""
    SyslogVerdicts(audit=False).observer()(b"fred", Verdict(Kind.DELIVERABLE, b""), None)
    assert lines == []


def test_with_auditlog_each_verdict_is_a_line_at_info(lines: list[tuple[int, str]]) -> None:
    """The client's name is in it."""
    observe = SyslogVerdicts(audit=True).observer("[192.0.2.1]")
    observe(b"fred", Verdict(Kind.DELIVERABLE, b""), None)
    observe(b"fred", Verdict(Kind.DELIVERABLE, b""), None)
    assert lines == [(system.LOG_INFO, "event=ok u.username=fred r.clienthost=[192.0.2.1]")] * 2


def fault(text: str) -> Verdict:
    """The verdict of a fault that says so."""
    return Verdict(Kind.STORE_FAULT, b"System I/O error", Evidence(fault=text), cacheable=False)


def test_a_fault_is_one_line_a_minute_for_each_file(lines: list[tuple[int, str]]) -> None:
    """However many recipients meet it, and whatever each of them sees of it."""
    clock = [1000.0]
    log = SyslogVerdicts(audit=False, now=lambda: clock[0])
    one, other = log.observer(), log.observer("[192.0.2.1]")
    one(b"fred", fault("/x/mailboxes.db: ends at 5"), None)
    other(b"joe", fault("/x/mailboxes.db: ends at 9"), None)
    one(b"fred", fault("/x/quota/f/user.fred: cannot be opened"), None)
    assert lines == [
        (system.LOG_ERR, "verify_user(fred): /x/mailboxes.db: ends at 5"),
        (system.LOG_ERR, "verify_user(fred): /x/quota/f/user.fred: cannot be opened"),
    ]
    clock[0] += LIMIT_SECONDS
    lines.clear()
    for key in (b"joe", b"fred", b"fred"):
        one(key, fault("/x/mailboxes.db: ends at 7"), None)
    held = (
        "verify_user(joe): /x/mailboxes.db: ends at 9 (the last of 1 more such lines in 60 s)",
        "verify_user(joe): /x/mailboxes.db: ends at 7",
    )
    assert lines == [(system.LOG_ERR, line) for line in held]


def test_the_faults_of_any_number_of_files_take_a_bounded_place(
    lines: list[tuple[int, str]],
) -> None:
    """When too many are remembered, the oldest is forgotten and may be said again."""
    observe = SyslogVerdicts(audit=False, now=lambda: 0.0).observer()
    for number in range(MAX_KINDS + 1):
        observe(b"fred", fault(f"/x/{number}: gone"), None)
    observe(b"fred", fault(f"/x/{MAX_KINDS}: gone"), None)
    observe(b"fred", fault("/x/0: gone"), None)
    assert len(lines) == MAX_KINDS + 2


def test_what_is_held_back_is_counted_at_the_end(lines: list[tuple[int, str]]) -> None:
    """A process that leaves tells how often its last fault was met."""
    verdicts = SyslogVerdicts(audit=False, now=lambda: 0.0)
    verdicts.close()  # nothing was held back
    for _ in range(3):
        verdicts.observer()(b"fred", fault("/x/mailboxes.db: gone"), None)
    verdicts.close()
    line = "verify_user(fred): /x/mailboxes.db: gone"
    assert lines == [
        (system.LOG_ERR, line),
        (system.LOG_ERR, f"{line} (2 more times in 0 s)"),
    ]


def test_many_lines_about_clients_are_a_few_lines(lines: list[tuple[int, str]]) -> None:
    """Lines count as one kind by their text, whatever the values; then comes the number."""
    clock = [1000.0]
    log = ClientLog(now=lambda: clock[0])
    for number in range(2000):
        log.warning("refused connection from [%s]", number)
    log.error("a client could not be accepted: %r", ValueError("x"))
    expected = [
        (system.LOG_WARNING, f"refused connection from [{number}]")
        for number in range(CLIENT_LINES)
    ]
    expected.append((system.LOG_ERR, "a client could not be accepted: ValueError('x')"))
    assert lines == expected
    clock[0] += LIMIT_SECONDS
    lines.clear()
    for number in range(2000):
        log.warning("refused connection from [%s]", number)
    held = 2000 - CLIENT_LINES
    note = f" (the last of {held} more such lines in {LIMIT_SECONDS:.0f} s)"
    assert lines[0] == (system.LOG_WARNING, f"refused connection from [1999]{note}")
    assert lines[1:] == expected[:CLIENT_LINES]


@pytest.mark.parametrize(
    ("service", "prefix", "facility", "ident", "number"),
    [
        ("smmap", None, None, "smmap", system.LOG_MAIL),
        ("smmap", "site", None, "site/smmap", system.LOG_MAIL),
        ("smmap", "", "mail", "smmap", system.LOG_MAIL),
        ("smmap", None, "LOCAL6", "smmap", system.LOG_LOCAL6),
        ("smmap", None, "daemon", "smmap", system.LOG_DAEMON),
        ("smmap", None, "nonsense", "smmap", system.LOG_MAIL),
    ],
)
def test_ident_and_facility(
    service: str,
    prefix: str | None,
    facility: str | None,
    ident: str,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Cyrus' services have them, from syslog_prefix and syslog_facility."""
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(system, "openlog", lambda *words: seen.append(words))
    monkeypatch.setattr(system, "setlogmask", lambda mask: mask)
    syslog.open_log(service, prefix, facility)
    assert seen == [(ident, system.LOG_PID, number)]


def test_debug_lines_are_dropped_until_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[int, str]]
) -> None:
    """By `debug` in imapd.conf, or later by SIGUSR1."""
    mask = [0]

    def setlogmask(new: int) -> int:
        old = mask[0]
        mask[0] = new or old
        return old

    monkeypatch.setattr(system, "openlog", lambda *words: None)
    monkeypatch.setattr(system, "setlogmask", setlogmask)
    everything, up_to_info = system.LOG_UPTO(system.LOG_DEBUG), system.LOG_UPTO(system.LOG_INFO)
    syslog.open_log("smmap", None)
    assert mask == [up_to_info]
    syslog.toggle_debug()
    assert mask == [everything]
    syslog.toggle_debug()
    assert mask == [up_to_info]
    syslog.open_log("smmap", None, debugging=True)
    assert mask == [everything]
    assert [line for _, line in lines] == [
        "debug logging turned on",
        "debug logging turned off",
    ]


def test_each_function_has_the_priority_of_its_name(lines: list[tuple[int, str]]) -> None:
    """Each function has the priority of its name, and what it says is printable."""
    for function in (syslog.debug, syslog.info, syslog.warning, syslog.error):
        function("a\nb")
    priorities = (system.LOG_DEBUG, system.LOG_INFO, system.LOG_WARNING, system.LOG_ERR)
    assert lines == [(priority, "a\\nb") for priority in priorities]


def test_a_line_as_long_as_it_may_be_is_whole() -> None:
    """One byte more is cut, and says so."""
    assert syslog.printable("x" * MAX_LINE) == "x" * MAX_LINE
    assert syslog.printable("x" * (MAX_LINE + 1)) == "x" * MAX_LINE + "..."
