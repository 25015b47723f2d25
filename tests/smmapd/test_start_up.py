"""What a process loads that lives for one question: the interpreter's start is most of its cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import configurations

ROOT = str(Path(__file__).resolve().parents[2])

# Each of these costs milliseconds, where a whole answer has nine.
SLOW = {
    "argparse",
    "asyncio",
    "concurrent",
    "contextlib",
    "ctypes",
    "dataclasses",
    "email",
    "enum",
    "gevent",
    "importlib.metadata",
    "inspect",
    "ipaddress",
    "json",
    "logging",
    "pathlib",
    "random",
    "re",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
    "xxhash",
}

# Ours that have no place in it.
OURS = {
    "gateway.config",
    "gateway.frontends.milter_session",
    "gateway.observability",
    "gateway.supervisor",
    "gateway.wiring",
    "gateway.worker",
    "gateway.server.server",
    "gateway.protocols.policy",
    "gateway.cyrus.db.sql",
    "gateway.cyrus.db.skiplist",
    "gateway.cyrus.db.twom",
    "smmapd.access",
    "smmapd.service",
}

# As the launcher does (contrib/launcher.in), and says at the end what was loaded.
PROGRAM = f"""
import sys
sys.path[:0] = [{ROOT!r}]
from smmapd.main import main
code = main(sys.argv[1:])
sys.stderr.write("\\n".join(sys.modules))
sys.exit(code)
"""

TWOSKIP = next(c for c in configurations() if c.id == "head-twoskip/default")


def loaded(tmp_path: Path, *words: str, data: bytes) -> tuple[bytes, set[str]]:
    """What the program answers, and the modules that it has loaded."""
    conf = tmp_path / "imapd.conf"
    TWOSKIP.write_conf(str(conf))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, "-X", "-C", str(conf), *words],
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout, set(done.stderr.decode().split())


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (b"alice", b"OK "),
        (b"nobody", b"NOTFOUND "),
        (b"over", b"TEMP "),
        (b"denmsg", b"NOTFOUND "),
        (b"alice+Sent", b""),
        (b"+shared", b""),
    ],
)
def test_one_question_loads_nothing_slow(tmp_path: Path, key: bytes, status: bytes) -> None:
    """Neither for a recipient that exists, nor for one that does not, is over quota or denied."""
    answer, modules = loaded(tmp_path, data=b"%d:m %s," % (len(key) + 2, key))
    assert answer.partition(b":")[2].startswith(status)
    assert modules & SLOW == set()
    assert {name for name in modules if any(name.startswith(ours) for ours in OURS)} == set()


def test_the_whole_list_is_short(tmp_path: Path) -> None:
    """Beyond the interpreter's own there are the engine, one reader, the codec and the program."""
    _, modules = loaded(tmp_path, data=b"7:m alice,")
    ours = {name for name in modules if name.startswith(("gateway.", "smmapd."))}
    assert {
        "gateway.cyrus.db.twoskip.twoskip",
        "gateway.verification.verifier",
        "gateway.frontends.socketmap_session",
        "smmapd.stdio",
    } <= ours
    # A module more is a decision: it costs every question about 0.1 ms.
    assert len(ours) <= 46, sorted(ours)
    assert len(modules - ours) <= 39, sorted(modules - ours)
