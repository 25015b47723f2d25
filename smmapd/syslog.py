"""Logs like a Cyrus service: syslog, facility mail, ident SERVICE or PREFIX/SERVICE.

The C library's syslog is used (Python's `syslog` module is a thin cover of
it): it never blocks for long, reconnects by itself, and drops lines when
nobody listens.  Whatever comes from a client or a file is made printable and
cut before it is logged.

No client may fill the disk: of what a client or a broken file may cause any
number of times, a `LimitedLog` writes a few lines a minute and a count.
"""

from __future__ import annotations

import syslog
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.socketmap_replies import Observer
    from gateway.loglimiter import HeldLines
    from gateway.verification.model import Verdict

# Bytes of one line; syslogd cuts at 1024 in its oldest form (RFC 3164 4.1).
MAX_LINE = 900  # only a bound

# Seconds within which lines of one kind are counted, and how many kinds are remembered.
LIMIT_SECONDS = 60.0
MAX_KINDS = 256  # only a bound
# Lines of one kind about clients within that time, as the gateway's own log has them, and about
# faults of the same file or server.
CLIENT_LINES = 10  # only a bound
FAULT_LINES = 1

# RFC 5424 6.2.1, by the names that imapd.conf's syslog_facility takes.
_FACILITIES = {
    "daemon": syslog.LOG_DAEMON,
    "mail": syslog.LOG_MAIL,
    "news": syslog.LOG_NEWS,
    "user": syslog.LOG_USER,
    **{f"local{n}": getattr(syslog, f"LOG_LOCAL{n}") for n in range(8)},
}


def open_log(
    service: str, prefix: str | None, facility: str | None = None, *, debugging: bool = False
) -> None:
    """Begin to log as `service`, with the pid in brackets.

    `prefix`, `facility` and `debugging` are imapd.conf's syslog_prefix,
    syslog_facility and debug; an unknown facility is mail's, and without
    debug the lines of that level are dropped here (imap/global.c).
    """
    ident = f"{prefix}/{service}" if prefix else service
    number = _FACILITIES.get((facility or "mail").lower(), syslog.LOG_MAIL)
    syslog.openlog(ident, syslog.LOG_PID, number)
    syslog.setlogmask(syslog.LOG_UPTO(syslog.LOG_DEBUG if debugging else syslog.LOG_INFO))


def toggle_debug() -> None:
    """Turn debug lines on or off, and say so (imap/global.c, debug_toggled)."""
    # same with 1: the mask is set again at once
    on = not syslog.setlogmask(0) & syslog.LOG_MASK(syslog.LOG_DEBUG)
    syslog.setlogmask(syslog.LOG_UPTO(syslog.LOG_DEBUG if on else syslog.LOG_INFO))
    info(f"debug logging turned {'on' if on else 'off'}")


def debug(message: str) -> None:
    """For the search for a fault."""
    syslog.syslog(syslog.LOG_DEBUG, printable(message))


def info(message: str) -> None:
    """What an administrator may want to read later."""
    syslog.syslog(syslog.LOG_INFO, printable(message))


def warning(message: str) -> None:
    """Something is not as it should be, and the service goes on."""
    syslog.syslog(syslog.LOG_WARNING, printable(message))


def error(message: str) -> None:
    """Something failed."""
    syslog.syslog(syslog.LOG_ERR, printable(message))


def printable(text: str | bytes) -> str:
    """`text` with everything but printable characters escaped, and cut to MAX_LINE bytes."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    clean = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    data = clean.encode("utf-8", "backslashreplace")
    if len(data) <= MAX_LINE:
        return data.decode()
    return data[:MAX_LINE].decode("utf-8", "ignore") + "..."


def audit_line(key: bytes, verdict: Verdict, client: str) -> str:
    """The line of one verdict where `auditlog` is on, in Cyrus' logfmt.

    The event's names are the C program's (`Kind.audit_event`).
    """
    event = verdict.kind.audit_event
    line = f"event={event} u.username={_field(key)} r.clienthost={_field(client)}"
    if verdict.reason:
        line += f" reason={_field(verdict.reason)}"
    return line


def _field(value: str | bytes) -> str:
    text = printable(value)
    if text and not any(c in text for c in ' "=\\'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class LimitedLog:
    """Lines of which `lines` of a kind are written in LIMIT_SECONDS, and then a count.

    `now` is a clock in seconds.
    """

    __slots__ = ("_limiter", "_now")

    def __init__(self, lines: int, now: Callable[[], float] = time.monotonic) -> None:
        # A process that answers one question on standard input has nothing to limit.
        from gateway.loglimiter import LogLimiter  # noqa: PLC0415

        self._limiter = LogLimiter(lines, seconds=LIMIT_SECONDS, kinds=MAX_KINDS)
        self._now = now

    def write(self, priority: int, kind: str, line: str) -> None:
        """Write `line`, which is of that kind, or count it."""
        now = self._now()
        written = self._limiter.admit(("", priority, kind), line, now)
        self._tell(self._limiter.take_summaries(now))
        if written:
            syslog.syslog(priority, printable(line))

    def close(self) -> None:
        """Write the counts of what is still held back."""
        self._tell(self._limiter.take_rest(self._now()))

    def _tell(self, summaries: list[HeldLines]) -> None:
        for each in summaries:
            _, priority, _ = each.kind
            syslog.syslog(priority, printable(each.summary))


class ClientLog:
    """Lines that clients cause: CLIENT_LINES of each text in LIMIT_SECONDS."""

    __slots__ = ("_log",)

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._log = LimitedLog(CLIENT_LINES, now)

    def warning(self, text: str, *values: object) -> None:
        """As `warning`; `text` has a place for each of `values`."""
        self._log.write(syslog.LOG_WARNING, text, text % values)

    def error(self, text: str, *values: object) -> None:
        """As `error`; `text` has a place for each of `values`."""
        self._log.write(syslog.LOG_ERR, text, text % values)

    def close(self) -> None:
        """Write the counts of what is still held back."""
        self._log.close()


class SyslogVerdicts:
    """Hears of each verdict: a line where `auditlog` is on, an error line for a fault.

    Faults of the same file or server are one line a minute and a count,
    however many recipients meet them and whatever each of them shows.  One
    object serves all clients of a process.  `now` is a clock in seconds.
    """

    __slots__ = ("_faults", "_now", "audit")

    def __init__(self, *, audit: bool, now: Callable[[], float] = time.monotonic) -> None:
        self.audit = audit
        self._now = now
        self._faults: LimitedLog | None = None

    def observer(self, client: str = "[local]") -> Observer:
        """What hears of the verdicts for one client."""

        def observe(key: bytes, verdict: Verdict, _waiver: object) -> None:
            if verdict.evidence.fault is not None:
                self._log_fault(key, verdict.evidence.fault)
            if self.audit:
                info(audit_line(key, verdict, client))

        return observe

    def close(self) -> None:
        """Write the counts of faults that are still held back."""
        if self._faults is not None:
            self._faults.close()

    def _log_fault(self, key: bytes, fault: str) -> None:
        if self._faults is None:
            self._faults = LimitedLog(FAULT_LINES, self._now)
        # What is at fault begins the text (gateway/errors.py).
        kind = fault.partition(": ")[0]
        self._faults.write(syslog.LOG_ERR, kind, f"verify_user({printable(key)}): {fault}")
