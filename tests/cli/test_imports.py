"""What a command does not import: other commands, and what only serving processes need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gateway.cli.main import COMMANDS
from gateway.config.frontends import NAMES
from tests.rigs.commandline import Site, environment

# Runs a command, and says then which modules are loaded.
LOADED = """
import sys
from gateway.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""
# The supervisor's part of a start.
PLANNED = """
import sys
import gateway.cli.main
from gateway.cli.serve import make_plan
make_plan(sys.argv[1])
print(*sorted(sys.modules), file=sys.stderr)
"""
# Each takes longer to import than the command line.
SLOW = {"gevent", "prometheus_client", "importlib.metadata", "email"}
SESSIONS = {f"gateway.frontends.{name}_session" for name in NAMES}


def loaded(program: str, *words: str) -> set[str]:
    """The modules that the program has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=60,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("name", ["explain", "check", "ask", "list", "print-completion"])
def test_a_command_imports_no_other_command(site: Site, name: str) -> None:
    """Nor a front end's session, nor what serves."""
    modules = loaded(LOADED, name, "-c", site.config, *ARGUMENTS[name])
    own = COMMANDS[name][0]
    assert own in modules
    assert modules & ({module for module, _ in COMMANDS.values()} - {own}) == set()
    assert modules & (SLOW | SESSIONS) == set()


ARGUMENTS = {
    "explain": ["fred"],
    "check": ["fred"],
    "ask": ["--front", "policy", "--socket", "unix:/nonexistent/socket", "fred"],
    "list": ["--mailboxes"],
    "print-completion": ["bash"],
}


def test_the_supervisor_imports_no_session(site: Site) -> None:
    """It knows every front end, and serves none: after a kill it is back the sooner."""
    os.mkdir(f"{site.root}/run")  # of its sockets
    modules = loaded(PLANNED, site.config)
    assert "gateway.supervisor.supervisor" in modules
    assert modules & (SLOW | SESSIONS) == set()
