"""How log lines look and what they reveal."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from gateway.config import LoggingSettings
from gateway.config.choices import AddressPrivacy, LogFormat, LogLevel, LogTarget
from gateway.observability.logging import setup
from gateway.observability.logging.handlers import StreamHandler, SyslogHandler
from gateway.observability.logging.setup import AddressWriter, JsonFormatter, TextFormatter


@pytest.fixture
def plain_logging() -> Iterator[None]:
    """Whatever a test configures is undone."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    ours = logging.getLogger(setup.ROOT).level
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        if handler not in handlers:
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger(setup.ROOT).setLevel(ours)
    logging.raiseExceptions = raises


def record(message: str, level: int = logging.INFO, **fields: setup.Field) -> logging.LogRecord:
    """A record as `event` makes it."""
    made = logging.LogRecord("gateway.test", level, __file__, 1, "%s", (message,), None)
    made.gateway_fields = fields
    return made


def test_text_is_a_sentence_and_pairs() -> None:
    """Values with blanks are quoted; nothing of a stranger's gets out of its quotes."""
    line = TextFormatter(stamped=False).format(
        record(
            "verdict",
            recipient=b"fr\ned@example.org",
            reason='Over "quota" =',
            size=None,
            cached=True,
            microseconds=12.5,
            client=b"",
        )
    )
    assert line == (
        'verdict recipient=fr\\ned@example.org reason="Over \\"quota\\" =" size=- cached=yes '
        'microseconds=12.5 client=""'
    )


def test_a_warning_says_that_it_is_one() -> None:
    """syslog's readers do not see the priority."""
    assert TextFormatter(stamped=False).format(record("x", logging.WARNING)) == "warning: x"


def test_standard_error_gets_the_time() -> None:
    """Nobody else adds it there."""
    line = TextFormatter(stamped=True).format(record("x"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} info: x", line)


def test_json_is_one_object_a_line() -> None:
    """With fields of their own type."""
    line = JsonFormatter().format(record("verdict", recipient=b"a\n\xff", size=5, cached=False))
    assert "\n" not in line
    shown = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown.pop("time"))
    assert isinstance(shown.pop("pid"), int)
    assert shown == {
        "level": "info",
        "logger": "gateway.test",
        "message": "verdict",
        "recipient": "a\\n\\xff",
        "size": 5,
        "cached": False,
    }


@pytest.mark.parametrize("formatter", [TextFormatter(stamped=False), JsonFormatter()])
def test_a_traceback_stays_on_its_line(formatter: logging.Formatter) -> None:
    """Line breaks become escapes."""
    made = record("defect", logging.ERROR)
    try:
        raise ValueError("bad\nvalue")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    line = formatter.format(made)
    assert "\n" not in line
    assert "ValueError: bad" in line


def test_addresses_are_shown_hashed_or_hidden() -> None:
    """A hash keeps the domain, is the same each time, and folds the case."""
    address = b"Fred@Example.org"
    assert AddressWriter(AddressPrivacy.FULL)(address) == "Fred@Example.org"
    assert AddressWriter(AddressPrivacy.OFF)(address) == "-"
    hashed = AddressWriter(AddressPrivacy.HASHED)(address)
    assert re.fullmatch(r"[0-9a-f]{12}@example\.org", hashed)
    assert AddressWriter(AddressPrivacy.HASHED)(b"fred@example.org") == hashed
    assert AddressWriter(AddressPrivacy.HASHED)(b"frederic@example.org") != hashed
    assert re.fullmatch(r"[0-9a-f]{12}", AddressWriter(AddressPrivacy.HASHED)(b"fred"))


@pytest.mark.usefixtures("plain_logging")
def test_settings_choose_the_handler_and_its_form() -> None:
    """A second call, after a reload, replaces the first."""
    root = logging.getLogger()
    setup.configure(LoggingSettings(target=LogTarget.SYSLOG, format=LogFormat.JSON))
    (first,) = root.handlers
    assert isinstance(first, SyslogHandler)
    assert isinstance(first.formatter, JsonFormatter)
    setup.configure(LoggingSettings(target=LogTarget.JOURNAL, level=LogLevel.DEBUG))
    (second,) = root.handlers
    assert isinstance(second, StreamHandler)
    assert isinstance(second.formatter, TextFormatter)
    assert logging.getLogger("gateway.x").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("library").isEnabledFor(logging.INFO)


@pytest.mark.usefixtures("plain_logging")
def test_an_event_reaches_standard_error_with_its_fields(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """From the call to the descriptor."""
    setup.configure(LoggingSettings(target=LogTarget.JOURNAL))
    setup.event(logging.getLogger("gateway.x"), logging.INFO, "verdict", {"verdict": "denied"})
    setup.event(logging.getLogger("gateway.x"), logging.DEBUG, "detail", {})
    assert capfd.readouterr().err == "<6>verdict verdict=denied\n"
