"""SIGTERM and restarts: what is in progress is finished, and a held socket refuses nobody."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.rigs.clients import INTERFACES
from tests.rigs.load import FRED, NOBODY, Load
from tests.rigs.managed import ManagedGateway, refused
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.waiting import wait_until

FRONT_ENDS = ("socketmap", "policy")


@pytest.mark.parametrize("interface", FRONT_ENDS)
def test_sigterm_finishes_what_is_under_way(interface: str) -> None:
    """Half a request was sent; nobody else gets in; the second half has its answer; then the end."""
    with ManagedGateway() as managed:
        managed.begin()
        with managed.open(interface) as client:
            question = client.question(FRED)
            client.send(question[:9])
            managed.signal(signal.SIGTERM)
            assert int(managed.wait_told("STOPPING")["EXTEND_TIMEOUT_USEC"]) > 0
            wait_until(lambda: refused(managed.path(interface)), "no more clients are taken")
            client.send(question[9:])
            assert FRED in client.receive() or interface == "policy"
            client.wait_closed()
        assert managed.exit_code() == os.EX_OK
        assert not [front for front in FRONT_ENDS if os.path.lexists(managed.path(front))]


def test_who_is_in_the_queue_at_sigterm_is_still_served() -> None:
    """A stopped core does not accept, so the clients wait in the queue; then it hears SIGTERM."""
    with ManagedGateway() as managed:
        managed.begin()
        core = managed.pid("core")
        os.kill(core, signal.SIGSTOP)
        with ExitStack() as stack:
            clients = [
                stack.enter_context(managed.open(interface))
                for interface in FRONT_ENDS
                for _ in range(3)
            ]
            for client in clients:
                client.send(client.question(NOBODY))
            managed.signal(signal.SIGTERM)
            managed.wait_told("STOPPING")
            os.kill(core, signal.SIGCONT)
            for client in clients:
                assert b"not exist" in (answer := client.receive()) or b"550" in answer
        assert managed.exit_code() == os.EX_OK


def test_a_client_that_never_ends_its_request_does_not_hold_up_the_end() -> None:
    """After graceful_timeout it is cut off; that is not a fault."""

    def in_good_order() -> bool:
        with ManagedGateway({"": {"graceful_timeout": 1}}) as managed:
            managed.begin()
            with managed.open("socketmap") as client:
                client.send(b"40:cyrus half a requ")
                managed.signal(signal.SIGTERM)
                assert managed.exit_code() == os.EX_OK
            return not managed.logged("did not stop in time")

    # The core leaves half a second before it would be killed; a busy machine may let it wait once.
    wait_until(in_good_order, "the core cuts the client off by itself")


def test_sigterm_under_load_breaks_off_no_answer() -> None:
    """Each client hears whole answers, and then that nobody is there."""
    with ManagedGateway() as managed:
        managed.begin()
        with Load({interface: managed.path(interface) for interface in FRONT_ENDS}) as load:
            managed.signal(signal.SIGTERM)
            assert managed.exit_code() == os.EX_OK
            wait_until(lambda: load.faults, "the clients notice")
        assert not [fault for fault in load.faults if "broke off" in fault]
        assert load.answers("socketmap") <= {b"OK " + FRED, b"NOTFOUND Mailbox does not exist"}
        assert load.answers("policy") <= {b"DUNNO", b"550 5.1.1 User unknown"}


@contextmanager
def held_sockets(managed: ManagedGateway) -> Iterator[dict[str, socket.socket]]:
    """Listening sockets at the paths of both interfaces, which outlive every gateway."""
    with ExitStack() as stack:
        held = {}
        for front in managed.front_ends:
            held[front] = stack.enter_context(socket.socket(socket.AF_UNIX))
            held[front].bind(managed.path(front))
            held[front].listen(1024)
        yield held


def test_restarts_by_socket_activation_refuse_and_lose_nobody() -> None:
    """The service manager holds the sockets; clients wait in them while no gateway runs."""
    tables = {front: {"listen": [f"fd:{front}"]} for front in FRONT_ENDS}
    with (
        ManagedGateway({"": {"graceful_timeout": 10}, **tables}) as managed,
        held_sockets(managed) as held,
    ):
        managed.start(passed=held)
        told = managed.wait_told("READY")
        assert told["MAINPID"] == str(managed.daemon.pid)
        with Load({interface: managed.path(interface) for interface in FRONT_ENDS}) as load:
            for _ in range(3):
                managed.signal(signal.SIGTERM)
                assert managed.exit_code() == os.EX_OK
                managed.start(passed=held)
                managed.wait_told("READY")
                load.wait_progress()
        assert load.faults == []
        assert load.answers("socketmap") == {b"OK " + FRED, b"NOTFOUND Mailbox does not exist"}
        assert load.answers("policy") == {b"DUNNO", b"550 5.1.1 User unknown"}
        assert all(os.path.lexists(managed.path(front)) for front in FRONT_ENDS)


def test_a_milter_is_activated_by_its_socket_too() -> None:
    """And serves on it after a restart."""
    tables = {front: {"listen": [f"fd:{front}"]} for front in (*FRONT_ENDS, "milter")}
    with ManagedGateway(tables, milter=True) as managed, held_sockets(managed) as held:
        for _ in range(2):
            managed.start(passed=held)
            managed.wait_told("READY")
            with MilterClient(managed.path("milter")) as mta:
                mta.connect()
                mta.mail()
                assert mta.rcpt(b"<fred@example.org>") == CONTINUE
                assert mta.rcpt(b"<nobody@example.org>") == b"550 5.1.1 User unknown"
            managed.signal(signal.SIGTERM)
            assert managed.exit_code() == os.EX_OK


def test_a_socket_that_systemd_did_not_pass_ends_the_start() -> None:
    """The message says what is missing, and what came instead."""
    with (
        ManagedGateway({"policy": {"listen": ["fd:polizy"]}}) as managed,
        socket.socket(socket.AF_UNIX) as one,
    ):
        one.bind(managed.path("policy"))
        one.listen()
        managed.start(passed={"policy": one})
        assert managed.exit_code() == os.EX_CONFIG
        assert managed.logged("fd:polizy", "it passed: policy", "FileDescriptorName=polizy")


def test_a_interface_speaks_only_its_own_protocol() -> None:
    """Sockets are told apart by their names and not by their order."""
    tables = {front: {"listen": [f"fd:{front}"]} for front in FRONT_ENDS}
    with ManagedGateway(tables) as managed, held_sockets(managed) as held:
        managed.start(passed=dict(reversed(held.items())))
        managed.wait_told("READY")
        for interface in INTERFACES:
            assert managed.ask(interface, FRED) in (b"DUNNO", b"OK " + FRED)
