"""One client on standard input and output."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.protocols.socketmap import encode
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from smmapd import stdio

NOT_FOUND = b"NOTFOUND Mailbox does not exist"


class Engine:
    """Knows fred; `remote...` must be asked for elsewhere, and is deliverable there."""

    def __init__(self) -> None:
        self.resolved: list[bytes] = []

    def expire_tick(self) -> None:
        """Nothing is remembered."""

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict, or the question for another server."""
        if query.recipient.startswith(b"remote"):
            return Pending(query, "elsewhere", Verdict(Kind.DELIVERABLE, b"").evidence)
        if query.recipient == b"fred":
            return Verdict(Kind.DELIVERABLE, b"")
        return Verdict(Kind.NONEXISTENT, b"Mailbox does not exist")

    def resolve(self, pending: Pending) -> Verdict:
        """Ask elsewhere."""
        self.resolved.append(pending.query.recipient)
        return Verdict(Kind.DELIVERABLE, b"")


class Pipes:
    """The client's ends of the program's standard input and output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stdin, self.to = os.pipe()
        self.come, self.stdout = os.pipe()
        monkeypatch.setattr(stdio, "STDIN", self.stdin)
        monkeypatch.setattr(stdio, "STDOUT", self.stdout)

    def close(self) -> None:
        """Close whatever is still open."""
        for descriptor in (self.stdin, self.to, self.come, self.stdout):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipes]:
    """Standard input and output of the program under test."""
    pipes = Pipes(monkeypatch)
    yield pipes
    pipes.close()
    gc.unfreeze()


def converse(pipes: Pipes, data: bytes, engine: Engine | None = None) -> bytes:
    """What the program says to `data` and end of file."""
    os.write(pipes.to, data)
    os.close(pipes.to)
    stdio.serve(engine or Engine())  # type: ignore[arg-type]
    os.close(pipes.stdout)
    with open(pipes.come, "rb", closefd=False) as file:
        return file.read()


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"", []),
        (b"6:m fred,", [b"OK fred"]),
        (b"6:m fred,4:m no,6:m fred,", [b"OK fred", NOT_FOUND, b"OK fred"]),
        (b"6:m fred,x6:m fred,", [b"OK fred", b"PERM Bad protocol (missing length)"]),
        (b"6:m fr", [b"PERM Bad protocol (request size doesn't match length)"]),
        (b"4:fred,", [b"PERM Bad protocol (missing key)"]),
        (b"8:m remote,6:m fred,9:m remote2,", [b"OK remote", b"OK fred", b"OK remote2"]),
    ],
)
def test_replies_come_in_order(pipes: Pipes, data: bytes, replies: list[bytes]) -> None:
    """Replies come in the order of the requests; the first fault ends the conversation."""
    assert converse(pipes, data) == b"".join(encode(reply) for reply in replies)


def test_the_first_answer_does_not_wait_for_a_search_for_garbage(pipes: Pipes) -> None:
    """Whatever the start has left; later ones are looked at as in any program."""
    gc.disable()
    left = [[number] for number in range(10 * gc.get_threshold()[0])]
    before = gc.get_stats()
    assert converse(pipes, b"6:m fred,") == encode(b"OK fred")
    assert gc.get_stats() == before
    assert gc.isenabled()
    assert left


def test_questions_for_other_servers_are_asked_in_line(pipes: Pipes) -> None:
    """One client waits for nobody else."""
    engine = Engine()
    converse(pipes, b"8:m remote,6:m fred,9:m remote2,", engine)
    assert engine.resolved == [b"remote", b"remote2"]


def test_a_reply_comes_before_the_next_question(pipes: Pipes) -> None:
    """Nothing is held back until the client ends, and pieces are put together."""
    server = threading.Thread(target=stdio.serve, args=(Engine(),))
    server.start()
    for _ in range(3):
        os.write(pipes.to, b"6:m f")
        os.write(pipes.to, b"red,")
        assert os.read(pipes.come, 100) == b"7:OK fred,"
    os.close(pipes.to)
    server.join()


def test_more_replies_than_a_pipe_holds(pipes: Pipes) -> None:
    """Everything is written, in as many pieces as it takes."""
    count = 20_000
    said = bytearray()

    def read() -> None:
        while data := os.read(pipes.come, 65536):
            said.extend(data)

    def ask() -> None:
        with open(pipes.to, "wb") as file:
            file.write(b"6:m fred," * count)

    threads = [threading.Thread(target=read), threading.Thread(target=ask)]
    for thread in threads:
        thread.start()
    stdio.serve(Engine())  # type: ignore[arg-type]
    os.close(pipes.stdout)
    for thread in threads:
        thread.join()
    assert said == b"7:OK fred," * count


def test_client_that_does_not_wait_for_its_replies(pipes: Pipes) -> None:
    """It is gone: an ordinary end."""
    os.close(pipes.come)
    os.write(pipes.to, b"6:m fred,")
    stdio.serve(Engine())  # type: ignore[arg-type]


def test_each_verdict_is_observed(pipes: Pipes) -> None:
    """With the key as it came, those of other servers too."""
    seen: list[tuple[bytes, Kind]] = []
    os.write(pipes.to, b"6:m fred,8:m remote,4:m no,")
    os.close(pipes.to)
    stdio.serve(Engine(), lambda key, verdict, _: seen.append((key, verdict.kind)))  # type: ignore[arg-type]
    assert seen == [
        (b"fred", Kind.DELIVERABLE),
        (b"remote", Kind.DELIVERABLE),
        (b"no", Kind.NONEXISTENT),
    ]
