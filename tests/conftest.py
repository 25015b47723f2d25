"""What holds for every test, on every machine.

Files are made with the usual umask: the programs under test run as other users
and must read them, and a root with a umask of 077 is not a fault of theirs.

The soft limit of descriptors is the hard one, as it is in the programs under
test.

Hypothesis has one profile: no deadline, because this may be a slow or a busy
machine, and the same examples in every run, so that a change fails and not
chance.  Other examples: `--hypothesis-profile default`; `make fuzz` looks for
new ones.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

UMASK = 0o022
PROFILE = "steady"
# Folders of tests that drive whole gateways.  Those with a milter in their names are run for
# both of its libraries (rigs/gateway.py, LIBRARY), and so is whatever is marked.
WHOLE = ("tests/contrib/", "tests/interfaces/", "tests/faults/", "tests/lifecycle/", "tests/real/")

# Folders and files whose tests start processes of ours, or other people's programs: `make unit`
# leaves them to `make test`.
STARTING = (
    *WHOLE,
    "tests/admin/",
    "tests/bench/",
    "tests/cli/",
    "tests/delivery/",
    "tests/demo/",
    "tests/documents/test_away.py",
    "tests/documents/test_console.py",
    "tests/documents/test_site.py",
    "tests/fuzz/",
    "tests/golden/",
    "tests/model/",
    "tests/mutation/test_mutation.py",
    "tests/package/",
    "tests/rigs/",
    "tests/supervisor/",
    "tests/frontends/test_tls_peers.py",
    "tests/mta/test_programs.py",
    "tests/observability/logging/test_verdicts.py",
    "tests/server/test_tlssession.py",
    "tests/smmapd/test_main.py",
    "tests/smmapd/test_service.py",
    "tests/smmapd/test_start_up.py",
    "tests/test_dist.py",
    "tests/test_hanging.py",
    "tests/upstream/test_crl.py",
    "tests/wiring/test_mailserver.py",
    "tests/worker/test_descriptors.py",
)
# What a test of `make unit` may not do, as audit events.
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"})
_MAY_START = ("processes", "real", "slow", "clean", "delivery")


class _Unit:
    """Whether the test that runs is one of `make unit`."""

    runs = False


settings.register_profile(
    PROFILE, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Debian's pytest does not know that a hanging test may end the run; it only names it."""
    if pytest.version_tuple < (9,):
        parser.addini("faulthandler_exit_on_timeout", "not known before pytest 9", type="bool")


def pytest_configure() -> None:
    """Before any test is imported: what is declared there builds on the profile."""
    os.umask(UMASK)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings.load_profile(PROFILE)
    sys.addaudithook(_starts_nothing)


def _starts_nothing(event: str, _arguments: tuple[object, ...]) -> None:
    """An audit hook: what stays in `make unit` waits for no process.

    Its limit: what gateway/mta/spawn.py starts by the C library is not seen.
    """
    if _Unit.runs and event in _STARTS:
        raise RuntimeError("a test of `make unit` starts a process: mark it with `processes`")


# Debian 12's pytest has no `wrapper` yet.
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch the tests that are not marked."""
    _Unit.runs = not any(item.get_closest_marker(mark) for mark in _MAY_START)
    yield
    _Unit.runs = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is about the milter, and what starts processes."""
    for item in items:
        if item.nodeid.startswith(STARTING):
            item.add_marker("processes")
        if item.nodeid.startswith(WHOLE) and "milter" in item.nodeid:
            item.add_marker("milter")


@pytest.fixture(autouse=True)
def our_logger_is_as_before() -> Iterator[None]:
    """A command that a test calls in this process shows warnings on the terminal from then on.

    Other tests of the process want lines where they have sent them.
    """
    ours = logging.getLogger("gateway")
    handlers, level, propagate = ours.handlers[:], ours.level, ours.propagate
    yield
    ours.handlers[:] = handlers
    ours.setLevel(level)
    ours.propagate = propagate
