"""The time of day decides nothing: setting the clock changes what is shown, and no more.

Deadlines, pauses, what is remembered for seconds and what counts as silent
are measured by `time.monotonic`, which nobody can set.  The table names the
few places that look at the time of day, and why.
"""

from __future__ import annotations

import ast

import pytest

from tests.sources import SOURCES, dotted, tree, uses

# The clocks that can be set.  An event loop's `now()` is one of them: libev's ev_now.
TIME_OF_DAY = frozenset(
    {
        *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime"),
        *("time.asctime", "time.CLOCK_REALTIME", "time.clock_settime"),
    }
)
_LOOPS_NOW = "loop.now"

# Module and name, with what it is for.
ALLOWED = {
    # Shown to people and programs, and never compared.
    ("gateway/frontends/outcome.py", "time.time"): "when a recipient was refused",
    ("gateway/observability/logging/setup.py", "time.gmtime"): "the time in a log line",
    ("gateway/observability/logging/setup.py", "time.localtime"): "the time in a log line",
    ("gateway/observability/logging/handlers.py", "time.localtime"): "the time in a log line",
    ("gateway/observability/admin/status.py", "time.time"): "the status page's own time",
    ("gateway/observability/metrics/registry.py", "time.time"): "since when the gateway runs",
    ("gateway/observability/metrics/recorder.py", "time.time"): "since when a process runs",
    ("gateway/observability/metrics/timing.py", "time.time"): "when another server answered last",
    ("gateway/observability/status.py", "time.time"): "when a reload was taken last",
    # A file's times are of the time of day; filetoken.py says what a clock that is set does:
    # it makes a file's token useless for a while, so that the file is read again.
    ("gateway/cyrus/db/flat.py", "time.time_ns"): "is a file too young for a stamp",
    ("gateway/cyrus/db/quotalegacy.py", "time.time_ns"): "is a file too young for a stamp",
    ("gateway/cyrus/db/history.py", "time.time_ns"): "is a file too young for a stamp",
    ("gateway/cyrus/db/reopening.py", "time.time_ns"): "is a file too young for a stamp",
    ("gateway/cyrus/db/sql/sqlite.py", "time.time_ns"): "is a file too young for a stamp",
    ("gateway/mta/tablecache.py", "time.time_ns"): "is a table's file too young for a stamp",
    # A clock that is set delays the reading for a second, or makes it a second early.
    ("gateway/frontends/watched.py", "time.time"): "has a file been left alone",
    ("gateway/mta/configuration.py", "time.time"): "has main.cf been left alone",
}

# Modules that compare with the dates of a certificate or of a revocation list (RFC 5280), which
# are of the time of day by their nature.
DATES = frozenset(
    {
        "gateway/worker/revocations.py",
        "gateway/upstream/crl.py",
        "gateway/upstream/tls.py",
    }
)


def looked_at(path: str) -> set[str]:
    """The clocks that can be set and that a module names."""
    names = {dotted(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    names |= {name for _, name in uses(path)}
    return {name for name in names if name in TIME_OF_DAY or name.endswith(_LOOPS_NOW)}


@pytest.mark.parametrize("path", SOURCES)
def test_the_time_of_day_is_looked_at_only_where_it_is_shown(path: str) -> None:
    """`datetime`, which has clocks of its own, is used for dates of certificates alone."""
    assert {name for name in looked_at(path) if (path, name) not in ALLOWED} == set()
    dates = [line for line, name in uses(path) if name.startswith("datetime")]
    assert bool(dates) is (path in DATES)


def test_every_exception_is_still_needed() -> None:
    """What the table allows is there."""
    assert {(path, name) for path in SOURCES for name in looked_at(path)} == set(ALLOWED)
