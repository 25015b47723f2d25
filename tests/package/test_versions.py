"""The tests of the modules that use other people's packages, on Debian 12's versions of those.

Everything else is pure Python, and is tested here by what these import.
Where a test starts the programs, those are the package's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.package.conftest import depends, install
from tests.rigs.debian import Root, debian
from tests.rigs.processes import run
from tests.rigs.program import ROOT

pytestmark = [pytest.mark.real, pytest.mark.slow]

# gevent, prometheus_client and xxhash are used below these.
TESTED = (
    "tests/admin",
    "tests/cyrus/db/test_twom.py",
    "tests/observability/admin",
    "tests/observability/metrics",
    "tests/server/test_connection.py",
    "tests/frontends/test_defects.py",
    "tests/server/test_dispatcher.py",
    "tests/frontends/test_milter_session.py",
    "tests/server/test_server.py",
    "tests/lifecycle/test_stop.py",
    "tests/server",
    "tests/smmapd",
)
# What the tests themselves need: a driver for SQL servers is only suggested by the package.
TOOLS = ("openssl", "python3-hypothesis", "python3-pymysql", "python3-pytest")


@pytest.fixture(scope="module")
def workshop(package: str) -> Iterator[Root]:
    """A Debian with the package, what it depends on, and a copy of the clone in /src."""
    with debian(*depends(package), *TOOLS) as root:
        install(root, package)
        # As Cyrus' package would.
        root.run("useradd", "--system", "--gid", "mail", "cyrus")
        run(["/bin/mkdir", root.path("/src")])
        words = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT]
        words += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        copy = ["tar", "-C", ROOT, "--null", "--files-from=-", "--ignore-failed-read", "-c"]
        listed = subprocess.run(words, check=True, capture_output=True).stdout
        packed = subprocess.run(copy, check=True, capture_output=True, input=listed).stdout
        subprocess.run(["tar", "-C", root.path("/src"), "-x"], check=True, input=packed)
        yield root


def test_everything_that_uses_packages_works_with_debians(workshop: Root) -> None:
    """Unit tests and whole gateways; none of them is skipped for want of something."""
    pytest_ = ["python3", "-P", "-m", "pytest", "-q", "-m", "not real", "-p", "no:cacheprovider"]
    words = ["env", "-C", "/src", *pytest_, *TESTED]
    code, said = workshop.complete(*words, env={"HOME": "/root", "RIGS_REQUIRED": "1"})
    assert code == 0, said[-10_000:]
    summary = said.strip().splitlines()[-1]
    assert " passed" in summary
    assert "skipped" not in summary, said[-10_000:]
