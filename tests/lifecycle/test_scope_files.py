"""An alias or domain file that is being written while the gateway reloads, or a process starts again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.rigs.gateway import Tables
from tests.rigs.managed import DEADLINE_S, ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.waiting import wait_until

SALES = b"sales@example.org"
NOBODY = b"nobody@example.org"
UNKNOWN = b"550 5.1.1 User unknown"
NAMES = [f"name{number}" for number in range(30)]
WHOLE = "".join(f"{name}: fred\n" for name in (*NAMES, "sales"))
HALF = WHOLE[: len(WHOLE) // 2]
REFUSED = "new configuration refused, the old one stays in force"


def aliases(managed: ManagedGateway) -> str:
    """The path of the alias file."""
    return managed.path("aliases")


def write(path: str, text: str, *, old: bool = False) -> None:
    """Write in place, as `cat >` does; `old`: and wait until it counts as left alone."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    if old:
        left_alone(path)


def left_alone(path: str) -> None:
    """Wait until nobody has written there for longer than the gateway wants."""
    wait_until(lambda: time.time() - os.stat(path).st_ctime > 1.5, "the file is old", DEADLINE_S)


def begin(managed: ManagedGateway, more: Tables | None = None) -> None:
    """A gateway with an alias file, and all three front ends."""
    write(aliases(managed), WHOLE, old=True)
    managed.configure({"scope": {"aliases": [aliases(managed)]}, **(more or {})})
    managed.begin()
    assert answers(managed, SALES) == ACCEPTED
    assert answers(managed, NOBODY) == (UNKNOWN, UNKNOWN)


ACCEPTED = (b"DUNNO", CONTINUE)


def answers(managed: ManagedGateway, recipient: bytes) -> tuple[bytes, bytes]:
    """What policy and milter say."""
    with MilterClient(managed.path("milter")) as mta:
        mta.connect()
        mta.mail()
        return managed.ask("policy", recipient), mta.rcpt(b"<%b>" % recipient)


def refused(answer: tuple[bytes, ...]) -> bool:
    """Does anybody refuse permanently?"""
    return any(word.startswith(b"5") for word in answer)


# Seconds between two writes; the gateway takes a file for whole after one second.
PAUSE_S = 0.05


class Writer:
    """Somebody who writes the file for as long as a `with` lasts, and does not get further.

    On a thread: on a busy machine a question may take longer than the file has to be left alone.
    """

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> None:
        write(self._path, self._text)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        """Some bytes more, and again as many; what is there is never the whole."""
        count = 0
        while not self._over.wait(PAUSE_S):
            count += 1
            write(self._path, self._text + "#" * (count % 2))


def test_a_reload_waits_until_the_file_is_whole() -> None:
    """The old generation serves on meanwhile, and nobody is refused; the log says why after a while."""
    with ManagedGateway(milter=True) as managed:
        begin(managed)
        old = managed.pid("core")

        def told() -> list[str]:
            assert answers(managed, SALES) == ACCEPTED
            return managed.logged("waits for", "aliases", "the old one stays in force")

        with Writer(aliases(managed), HALF):
            managed.signal(signal.SIGHUP)
            managed.wait_told("RELOADING")
            wait_until(told, "the log says what is waited for", DEADLINE_S)
            assert old in managed.pids("core")
        write(aliases(managed), WHOLE + "more: fred\n")
        assert "new configuration" not in managed.wait_told("READY")["STATUS"]
        assert answers(managed, SALES) == ACCEPTED
        assert answers(managed, b"more@example.org") == ACCEPTED
        assert answers(managed, NOBODY) == (UNKNOWN, UNKNOWN)


def test_a_reload_that_waits_gives_way_to_the_next() -> None:
    """A configuration without the file need not wait for it."""
    with ManagedGateway(milter=True) as managed:
        begin(managed)
        with Writer(aliases(managed), HALF):
            managed.signal(signal.SIGHUP)
            managed.wait_told("RELOADING")
            wait_until(lambda: managed.logged("waits for"), "the reload waits", DEADLINE_S)
            managed.configure({"scope": {"aliases": []}})
            managed.signal(signal.SIGHUP)
            wait_until(
                lambda: answers(managed, SALES) == (UNKNOWN, UNKNOWN),
                "the newest configuration is in force",
                DEADLINE_S,
            )


@pytest.mark.parametrize(
    ("process", "content"), [("core", HALF), ("milter", ""), ("milter", "\0" * 600)]
)
def test_a_process_that_starts_again_meanwhile_defers(process: str, content: str) -> None:
    """It knows nothing of what the file said; recipients that do not need it are answered."""
    with ManagedGateway(milter=True) as managed:
        begin(managed)
        front = {"core": 0, "milter": 1}[process]

        def deferred() -> bool:
            try:
                said = answers(managed, SALES)
                assert not refused(said)
                assert not refused((answers(managed, NOBODY)[front],))
                assert answers(managed, b"fred@example.org") == ACCEPTED
            except (OSError, AssertionError) as error:
                if isinstance(error, OSError) or "closed the connection" in str(error):
                    return False  # not there again yet
                raise
            return b"4" in said[front][:20]

        with Writer(aliases(managed), content):
            gone = managed.watch(pid := managed.pid(process))
            os.kill(pid, signal.SIGKILL)
            managed.wait_gone(gone)
            wait_until(deferred, "it defers", DEADLINE_S)
        write(aliases(managed), WHOLE)
        wait_until(
            lambda: answers(managed, NOBODY)[front] == UNKNOWN, "the file counts", DEADLINE_S
        )
        assert answers(managed, SALES) == ACCEPTED


LOST = "".join(f"{name}: fred\n" for name in NAMES[:10])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LOST, "has 10 entries, and had 31"),
        (WHOLE.replace("\n", "\r"), "CR alone"),
    ],
    ids=["lost", "cr"],
)
def test_an_unusable_file_keeps_what_was_before(content: str, words: str) -> None:
    """At a change and at a reload; a process that starts again defers."""
    with ManagedGateway(milter=True) as managed:
        begin(managed)
        write(aliases(managed), content, old=True)

        def told() -> list[str]:
            assert answers(managed, SALES) == ACCEPTED
            return managed.logged("aliases", words, "what it said before still counts")

        wait_until(told, "the log says so", DEADLINE_S)
        assert REFUSED in managed.reload()["STATUS"]
        assert managed.wait_log("error", "scope.aliases[0]", words)
        assert answers(managed, SALES) == ACCEPTED
        assert answers(managed, NOBODY) == (UNKNOWN, UNKNOWN)


def _restart(managed: ManagedGateway) -> None:
    managed.signal(signal.SIGTERM)
    assert managed.exit_code() == os.EX_OK
    managed.begin()


def _allow(managed: ManagedGateway) -> None:
    managed.configure({"scope": {"max_loss": 100}})
    assert REFUSED not in managed.reload()["STATUS"]


@pytest.mark.parametrize("accept", [_restart, _allow])
def test_a_loss_that_is_meant_is_accepted(accept: Callable[[ManagedGateway], None]) -> None:
    """In the two ways that the log names."""
    with ManagedGateway(milter=True) as managed:
        begin(managed)
        write(aliases(managed), LOST, old=True)
        accept(managed)
        wait_until(lambda: answers(managed, SALES) == (UNKNOWN, UNKNOWN), "it is gone", DEADLINE_S)
        assert answers(managed, b"name1@example.org") == ACCEPTED


def test_at_a_first_start_an_unusable_file_is_an_error() -> None:
    """With file and key."""
    with ManagedGateway(milter=True) as managed:
        write(aliases(managed), "\0" * 512, old=True)
        managed.configure({"scope": {"aliases": [aliases(managed)]}})
        managed.start()
        assert managed.exit_code() == os.EX_CONFIG
        assert managed.logged("scope.aliases[0]", "/aliases", "compiled database")


def test_a_socketmap_does_not_lose_a_domain_in_the_making() -> None:
    """A file of domains that is half there: its other half is deferred, not unknown."""
    domains = "".join(f"d{number}.test\n" for number in range(20)) + "example.org\n"
    with ManagedGateway(milter=True) as managed:
        path = managed.path("domains")
        write(path, domains, old=True)
        managed.configure({"scope": {"domains": ["other.test"], "domain_files": [path]}})
        managed.begin()
        fred = b"fred@example.org"
        assert managed.ask("socketmap", fred) == b"OK " + fred

        def deferred() -> bool:
            try:
                said = managed.ask("socketmap", fred)
            except OSError:
                return False
            assert not said.startswith(b"NOTFOUND")
            return said.startswith(b"TEMP")

        with Writer(path, domains[:40]):
            gone = managed.watch(pid := managed.pid("core"))
            os.kill(pid, signal.SIGKILL)
            managed.wait_gone(gone)
            wait_until(deferred, "it defers", DEADLINE_S)
        write(path, domains)
        wait_until(lambda: managed.ask("socketmap", fred) == b"OK " + fred, "it counts", DEADLINE_S)
