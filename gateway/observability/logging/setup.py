"""Logging as gateway.toml's [logging] wants it: target, form, and what it reveals.

Code logs a sentence and, where programs should read it, named fields:

    log.event(_log, logging.INFO, "verdict", {"recipient": ..., "verdict": "over-quota"})

Every field is made printable and cut here, so no untrusted byte reaches a
log as it is.  Addresses go through `AddressWriter` first, which shows, hashes
or hides them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping

from gateway.config.choices import AddressPrivacy, LogFormat, LogLevel, LogTarget
from gateway.config.frontends import front_end
from gateway.config.tables.logging import LoggingSettings
from gateway.files import read_file
from gateway.observability.logging.handlers import (
    ANSWER,
    LineHandler,
    StreamHandler,
    SyslogHandler,
)
from gateway.printable import printable

__all__ = ["AddressWriter", "Field", "answer", "configure", "event", "printable"]

Field = str | bytes | int | float | bool | None

# The root of all our loggers; libraries' own lines come from WARNING on.
ROOT = "gateway"
FIELD_LIMIT = 512
MESSAGE_LIMIT = 4000
# 48 bits: two of a million addresses share a hash with a chance of 1 in 500.
_HASH_BYTES = 6
_HIDDEN = "-"
_MACHINE_ID = "/etc/machine-id"
_MACHINE_ID_LIMIT = 4096
_FIELDS = "gateway_fields"
_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def configure(settings: LoggingSettings) -> None:
    """Send every logger's lines where `settings` says; may be called again after a reload."""
    handler: LineHandler
    if settings.target is LogTarget.SYSLOG:
        handler = SyslogHandler(settings.ident, settings.facility.value)
    else:
        handler = StreamHandler(priorities=settings.target is LogTarget.JOURNAL)
    as_json = settings.format is LogFormat.JSON
    stamped = settings.target is LogTarget.STDERR
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter(stamped=stamped))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(max(logging.WARNING, _LEVELS[settings.level]))
    logging.getLogger(ROOT).setLevel(_LEVELS[settings.level])
    # A line that cannot be written must not become a traceback on standard error.
    logging.raiseExceptions = False


def event(logger: logging.Logger, level: int, message: str, fields: Mapping[str, Field]) -> None:
    """Log `message` with named fields; costs nothing where the level is off."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", message, extra={_FIELDS: fields})


def answer(logger: logging.Logger, level: int, message: str) -> None:
    """Log the answer to something that an administrator has just done.

    It is written whatever the level of the log, and however often it was before.
    """
    place = ("(answer)", 0)
    logger.handle(
        logger.makeRecord(logger.name, level, *place, "%s", (message,), None, extra={ANSWER: True})
    )


class TextFormatter(logging.Formatter):
    """A sentence and key=value pairs on one line, for people."""

    def __init__(self, *, stamped: bool) -> None:
        """`stamped`: begin with the time and level, where the target adds none."""
        super().__init__()
        self._stamped = stamped

    def format(self, record: logging.LogRecord) -> str:
        """The line, printable and cut."""
        parts = [printable(record.getMessage(), MESSAGE_LIMIT)]
        parts += (f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        if record.exc_info:
            parts.append(printable(self.formatException(record.exc_info), MESSAGE_LIMIT))
        line = " ".join(parts)
        if not self._stamped:
            return line if record.levelno < logging.WARNING else f"{_level(record)}: {line}"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
        return f"{moment} {_level(record)}: {line}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; fields of the record follow time, level, logger, pid and message."""
        shown: dict[str, Field] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": _level(record),
            "logger": record.name,
            "pid": record.process,
            "message": printable(record.getMessage(), MESSAGE_LIMIT),
        }
        for name, value in _fields(record).items():
            shown[name] = (
                printable(value, FIELD_LIMIT) if isinstance(value, (str, bytes)) else value
            )
        if record.exc_info:
            shown["traceback"] = printable(self.formatException(record.exc_info), MESSAGE_LIMIT)
        return json.dumps(shown, ensure_ascii=False)


class AddressWriter:
    """Writes addresses for logs and the status page as the setting `addresses` says.

    Hashed: the local part becomes a keyed hash, the domain stays.  The key
    comes from the machine's id, so processes and restarts agree and a table
    made on another machine does not help.
    """

    def __init__(self, privacy: AddressPrivacy) -> None:
        self._privacy = privacy
        self._key = _machine_key() if privacy is AddressPrivacy.HASHED else b""

    def __call__(self, address: bytes) -> str:
        """`address` for people to read: printable, cut, and as private as the setting wants."""
        if self._privacy is AddressPrivacy.FULL:
            return printable(address, FIELD_LIMIT)
        if self._privacy is AddressPrivacy.OFF:
            return _HIDDEN
        local, at, domain = address.rpartition(b"@") if b"@" in address else (address, b"", b"")
        digest = hashlib.blake2b(local.lower(), digest_size=_HASH_BYTES, key=self._key).hexdigest()
        return digest + printable(at + domain.lower(), FIELD_LIMIT)

    def reply(self, frontend: str, reply: bytes) -> str:
        """A reply of `frontend`; its words may name the recipient, its codes do not."""
        if self._privacy is not AddressPrivacy.FULL:
            reply = b" ".join(reply.split(b" ")[: front_end(frontend).code_words])
        return printable(reply, FIELD_LIMIT)


def _machine_key() -> bytes:
    try:
        machine = read_file(_MACHINE_ID, _MACHINE_ID_LIMIT)[:64]
    except OSError:
        # A machine without an id still gets stable hashes, only not secret ones.
        machine = b""
    return hashlib.blake2b(machine, digest_size=32, person=b"smmapd-gateway").digest()


def _fields(record: logging.LogRecord) -> Mapping[str, Field]:
    fields: object = getattr(record, _FIELDS, None)
    return fields if isinstance(fields, Mapping) else {}


def _level(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _quoted(value: Field) -> str:
    """A value for key=value: in quotes where a blank, quote or equals sign would mislead."""
    if value is None:
        return _HIDDEN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value)
    text = printable(value, FIELD_LIMIT)
    if text and not any(mark in text for mark in ' "='):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
