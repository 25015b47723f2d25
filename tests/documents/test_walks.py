"""docs/walks.md names functions that exist, in the order in which they are called."""

from __future__ import annotations

import ast
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, cast

import gevent
import gevent.socket
import pytest

from gateway.frontends.milter_session import conversations
from gateway.server.dispatcher import Dispatcher
from gateway.server.libmilter import Callbacks
from gateway.server.server import Server
from tests.sources import ROOT, tree
from tests.support.lines import DEADLINE_S
from tests.support.serving import Served

if TYPE_CHECKING:
    from gateway.frontends.frontend import Serving
    from gateway.frontends.judge import Judge
    from gateway.frontends.milter_session import MilterTable

WALKS = (ROOT / "docs/walks.md").read_text(encoding="utf-8")
STEP = r"((?:gateway|smmapd)/[\w/]+\.py):(\w+)"
STEPS = sorted(set(re.findall(STEP, WALKS)))

Step = tuple[str, str]

# Where the walks divide: a split request, a question for another server or for Postfix' tables.
NOT_TAKEN = {
    ("gateway/server/connection.py", "_take_queued"),
    ("gateway/server/connection.py", "_ask_dispatcher"),
    ("gateway/server/dispatcher.py", "ask"),
    ("gateway/verification/verifier.py", "advance"),
    ("gateway/server/connection.py", "_on_answer"),
    ("gateway/frontends/session.py", "resolved"),
    ("gateway/frontends/lastchecks.py", "_checked"),
    # Of a process, or of the moment when modules are loaded.
    ("gateway/config/tables/policy.py", "PolicySettings"),
    ("gateway/config/frontends.py", "_row"),
    ("gateway/worker/servers.py", "_sessions"),
    ("gateway/worker/serving.py", "make_serving"),
}


def test_the_four_walks_are_there() -> None:
    """The test below looks at something."""
    assert len(re.findall(r"^## ", WALKS, re.MULTILINE)) == 4
    assert len(STEPS) > 30


@pytest.mark.parametrize(("path", "function"), STEPS, ids=[f"{p}:{f}" for p, f in STEPS])
def test_a_step_is_a_function_of_that_file(path: str, function: str) -> None:
    """A change that moves or renames it changes the walk, too."""
    assert (ROOT / path).is_file(), f"docs/walks.md: there is no {path}; where is {function} now?"
    defined = {
        node.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    assert function in defined, f"docs/walks.md: {path} has no {function}, it has {sorted(defined)}"


def test_a_socketmap_request_goes_its_walk(tmp_path: Path) -> None:
    """A first question about a mailbox that is over quota."""
    steps = walk("A socketmap request")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    served = Served(tmp_path, "socketmap")
    dispatcher = Dispatcher(lambda _pending, _since: pytest.fail("another server is asked"))
    server = Server(listener, lambda _peer: served.session_for("a client"), dispatcher)
    server.start()
    client = gevent.socket.socket(socket.AF_UNIX)
    try:
        client.connect(str(tmp_path / "socket"))
        with gevent.Timeout(DEADLINE_S), calls(steps) as called:
            client.sendall(b"22:smmap olga@example.org,")
            reply = client.recv(100)
    finally:
        client.close()
        server.close()
        listener.close()
    assert reply == b"15:TEMP Over quota,"
    assert called == steps


def test_a_recipient_of_the_milter_goes_its_walk(tmp_path: Path) -> None:
    """One that does not exist."""
    steps = walk("A milter's RCPT")
    served = Served(tmp_path, "milter")
    module = SimpleNamespace(CONTINUE=0, NOREPLY=7, REJECT=1, TEMPFAIL=4)
    callbacks = Callbacks(
        module,
        conversations(cast("Serving[Judge, MilterTable]", served.serving)),
        served.serving.memory,
        threading.Lock(),
        served.defects.append,
    )
    told: list[tuple[str, ...]] = []
    known: list[object] = [None]
    context = SimpleNamespace(
        getsymval=lambda _name: None,
        setreply=lambda *reply: told.append(reply),
        setpriv=lambda value: known.__setitem__(0, value),
        getpriv=lambda: known[0],
    )
    with calls(steps) as called:
        assert callbacks.envrcpt(context, b"<nobody@example.org>") == module.REJECT
    assert told == [("550", "5.1.1", "User unknown")]
    assert called == steps


def test_a_setting_of_a_front_end_goes_its_walk(tmp_path: Path) -> None:
    """The mode of the policy service, from its table to a recipient that does not exist."""
    steps = walk("A setting that reaches a front end")
    request = b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=nobody@example.org\n\n"
    with calls(steps) as called:
        reply = Served(tmp_path, "policy", 'mode = "observe"').say(request)
    assert reply == b"action=DUNNO\n\n"
    assert called == steps


def walk(title: str) -> list[Step]:
    """The steps of a walk as far as its diagram goes, without those that are not taken."""
    diagram = WALKS.split(f"## {title}\n")[1].split("```")[1]
    return [step for step in re.findall(STEP, diagram) if step not in NOT_TAKEN]


@contextmanager
def calls(steps: list[Step]) -> Iterator[list[Step]]:
    """Those of `steps` that are called, in the order of their first calls."""
    found: dict[Step, None] = {}
    wanted = {(str(ROOT / path), function): (path, function) for path, function in steps}

    def heard(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        step = wanted.get((code.co_filename, code.co_name))
        if event == "call" and step is not None:
            found.setdefault(step)

    called: list[Step] = []
    before = sys.getprofile()
    sys.setprofile(heard)
    try:
        yield called
    finally:
        sys.setprofile(before)
        called += found
