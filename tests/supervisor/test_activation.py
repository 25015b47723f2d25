"""Sockets that systemd passes."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator

import pytest

from gateway.supervisor import activation
from gateway.supervisor.activation import ActivationError

# Above every descriptor that a whole run of the tests has open, below the usual limit of 1024.
FIRST = 1000


@pytest.fixture
def passed() -> Iterator[list[int]]:
    """Two listening sockets at FIRST and FIRST + 1, as systemd would pass them at 3 and 4."""
    descriptors = []
    for offset in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            descriptors.append(os.dup2(listener.fileno(), FIRST + offset))
    yield descriptors
    for descriptor in descriptors:
        try:
            os.close(descriptor)
        except OSError:
            continue


def environ(**extra: str) -> dict[str, str]:
    """The variables for two sockets of this process."""
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "PATH": "/bin", **extra}


def test_sockets_come_by_name(passed: list[int]) -> None:
    """Non-blocking, closed on exec, and the variables are gone."""
    variables = environ(LISTEN_FDNAMES="policy:socketmap")
    found = activation.take(variables, first=FIRST)
    assert variables == {"PATH": "/bin"}
    assert {name: [each.fileno() for each in sockets] for name, sockets in found.items()} == {
        "policy": [passed[0]],
        "socketmap": [passed[1]],
    }
    for sockets in found.values():
        for each in sockets:
            assert not each.getblocking()
            assert fcntl.fcntl(each.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            each.close()


def test_one_name_may_have_several_sockets(passed: list[int]) -> None:
    """And without names all are called unknown, as systemd calls them."""
    found = activation.take(environ(), first=FIRST)
    assert [each.fileno() for each in found["unknown"]] == passed
    for each in found["unknown"]:
        each.close()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "2"},
        {"LISTEN_FDS": "2"},
        {"LISTEN_PID": "x", "LISTEN_FDS": "2"},
    ],
)
def test_what_is_meant_for_another_process_is_not_taken(variables: dict[str, str]) -> None:
    """The variables go all the same: no child is to believe them."""
    assert activation.take(variables, first=FIRST) == {}
    assert variables == {}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"LISTEN_FDS": "two"}, 'LISTEN_FDS is "two" and not a number; start by systemd'),
        (
            {"LISTEN_FDNAMES": "a:b:c"},
            "LISTEN_FDNAMES has 3 names for 2 descriptors; start by systemd",
        ),
    ],
)
def test_variables_that_contradict_each_other_are_refused(
    passed: list[int], extra: dict[str, str], message: str
) -> None:
    """Nobody guesses which socket is which."""
    with pytest.raises(ActivationError) as caught:
        activation.take(environ(**extra), first=FIRST)
    assert str(caught.value) == message


def test_a_descriptor_that_is_no_socket_is_refused() -> None:
    """Nor is one that does not listen."""
    reader, writer = os.pipe()
    os.dup2(reader, FIRST)
    variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "p"}
    with pytest.raises(ActivationError) as caught:
        activation.take(dict(variables), first=FIRST)
    assert "descriptor 1000 (p) from systemd is not a socket" in str(caught.value)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        os.dup2(other.fileno(), FIRST)
    with pytest.raises(ActivationError) as caught:
        activation.take(dict(variables), first=FIRST)
    assert str(caught.value) == (
        "descriptor 1000 (p) from systemd is not a listening stream socket; use ListenStream= and "
        "Accept=no in the socket unit"
    )
    for descriptor in (reader, writer, FIRST):
        os.close(descriptor)
