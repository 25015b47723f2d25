"""The load clients against the echo server: what they count is what happened."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.bench.build import program
from tests.bench.servers import Echo
from tests.rigs.require import require_command


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    """Without one there are no load clients."""
    require_command(os.environ.get("CC") or "cc", "apt-get install gcc libc6-dev, or set CC")


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    """A running echo server."""
    with Echo() as server:
        yield server


@pytest.fixture
def keys(tmp_path: os.PathLike[str]) -> str:
    """A key file with expectations, every third of which an echo does not meet."""
    path = os.path.join(tmp_path, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write("fred\tOK\nwilma\tNOTFOUND\nbarney\tOK\n")
    return path


def load(*words: str) -> dict[str, object]:
    """What load.c prints."""
    done = subprocess.run([program("load"), *words], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("depth", [1, 16])
@pytest.mark.parametrize("connections", [1, 50])
def test_every_request_is_answered_once(
    echo: Echo, keys: str, connections: int, depth: int
) -> None:
    """A fixed number of requests gives that number of answers, whatever the depth."""
    found = load(
        *("-a", echo.address, "-k", keys, "-n", str(connections), "-d", str(depth), "-r", "3000")
    )
    assert found["answered"] == 3000
    assert found["broken"] == found["malformed"] == found["lost"] == found["refused"] == 0
    assert found["statuses"] == {"OK": 3000 + connections}


def test_an_answer_that_is_not_expected_is_counted(echo: Echo, keys: str) -> None:
    """The status is compared with the key file's second column."""
    found = load("-a", echo.address, "-k", keys, "-r", "299")
    assert found["wrong"] == 100
    assert found["first_wrong"] == "expected NOTFOUND for wilma, got OK wilma"


def test_an_expectation_for_all_is_compared(echo: Echo) -> None:
    """-e counts for keys that have no status of their own."""
    found = load("-a", echo.address, "-u", "1", "-r", "99", "-e", "NOTFOUND")
    assert found["wrong"] == 100


def test_a_server_that_is_not_there_is_counted(tmp_path: os.PathLike[str]) -> None:
    """Refused connections are a result, not an end."""
    found = load("-a", os.path.join(tmp_path, "nobody"), "-u", "1", "-n", "3", "-r", "10")
    assert found["refused"] == 3
    assert found["answered"] == 0


def test_a_foreign_address_is_refused() -> None:
    """Only loopback addresses are loaded."""
    done = subprocess.run(
        [program("load"), "-a", "192.0.2.1:25", "-u", "1", "-r", "1"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"only loopback" in done.stderr


def test_a_program_that_echoes_on_standard_input_is_timed() -> None:
    """first.c starts a program as often as it is told and compares its replies."""
    script = 'read -r -d , request; printf "7:OK fred,"; cat >/dev/null'
    words = ["3", "fred", "/bin/bash", "-c", script]
    done = subprocess.run([program("first"), *words], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert len(found["ms"]) == 3
    assert found["reply"] == "7:OK fred,"


def test_a_program_that_is_asked_nothing() -> None:
    """first.c measures until it ends."""
    done = subprocess.run([program("first"), "3", "", "/bin/true"], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert len(found["ms"]) == 3
    assert all(milliseconds > 0 for milliseconds in found["ms"])
    assert found["reply"] == ""
