"""The set of listening sockets: opened together, changed together, given back."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import ConfigurationErrors
from gateway.config.endpoints import DescriptorEndpoint, InetEndpoint, UnixEndpoint
from gateway.config.sources import SourceLocation
from gateway.supervisor.listeners import Listeners, listen_inet
from gateway.supervisor.unixsockets import ListenError


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    """An empty set, closed at the end."""
    made = Listeners({})
    yield made
    made.close()


def free_port(host: str) -> int:
    """A port that nobody uses at this moment."""
    with listen_inet(InetEndpoint(host, 0)) as probe:
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def test_a_tcp_socket_listens_on_its_family_alone() -> None:
    """IPv6 listens for IPv6 only, so both families can have the same port."""
    with listen_inet(InetEndpoint("::", 0)) as six:
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        port = six.getsockname()[1]
        with listen_inet(InetEndpoint("0.0.0.0", port)) as four:
            assert not four.getblocking()
            with socket.create_connection(("127.0.0.1", port)):
                assert four.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1


def test_a_port_in_use_is_refused_with_the_way_to_find_its_owner() -> None:
    """The message names address, reason and fix."""
    with listen_inet(InetEndpoint("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            listen_inet(InetEndpoint("127.0.0.1", port))
    assert str(caught.value) == (
        f"cannot listen on inet:127.0.0.1:{port}: Address already in use; stop the program that "
        f"listens there (ss -ltnp sport = :{port} shows it) or choose another port"
    )


def test_an_address_of_another_machine_is_refused() -> None:
    """TEST-NET-1 is nobody's."""
    with pytest.raises(ListenError) as caught:
        listen_inet(InetEndpoint("192.0.2.1", 12345))
    assert str(caught.value) == (
        "cannot listen on inet:192.0.2.1:12345: Cannot assign requested address; no interface of "
        "this machine has that address; see ip address"
    )


def test_a_problem_has_the_line_of_its_key(tmp_path: Path) -> None:
    """Of whichever file of the configuration that is in."""
    places = {"policy.listen": SourceLocation(1, "gateway.toml.d/mine.toml", 7)}
    wanted = {"policy": (UnixEndpoint(str(tmp_path / "none" / "socket")),)}
    with pytest.raises(ConfigurationErrors) as caught:
        Listeners({}).change(wanted, "gateway.toml", places)
    assert str(caught.value).startswith("gateway.toml.d/mine.toml:7: policy.listen[0]: cannot")


def test_every_problem_is_told_and_nothing_stays_open(tmp_path: Path) -> None:
    """What could be opened is closed again, its file too."""
    (tmp_path / "file").write_text("")
    listeners = Listeners({})
    with pytest.raises(ConfigurationErrors) as caught:
        listeners.change(
            {
                "socketmap": (UnixEndpoint(str(tmp_path / "good")),),
                "policy": (
                    UnixEndpoint(str(tmp_path / "file")),
                    InetEndpoint("192.0.2.1", 1234),
                    DescriptorEndpoint("policy"),
                ),
            },
            "gateway.toml",
        )
    assert [type(each) for each in caught.value.errors] == [ListenError] * 3
    assert str(caught.value).splitlines()[2] == (
        "gateway.toml: policy.listen[2]: cannot listen on fd:policy: systemd passed no socket of that name (it passed: none); set "
        "FileDescriptorName=policy in the socket unit and start by it"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_change_keeps_what_both_have(tmp_path: Path, listeners: Listeners) -> None:
    """The kept socket is the same one; the dropped one's file goes at commit and not before."""
    keep, drop, new = (UnixEndpoint(str(tmp_path / name)) for name in ("keep", "drop", "new"))
    listeners.commit(listeners.change({"socketmap": (keep, drop)}))
    before = listeners.groups()["socketmap"][0].socket
    change = listeners.change({"socketmap": (keep, new)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drop", "keep", "new"]
    listeners.commit(change)
    assert listeners.groups()["socketmap"][0].socket is before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep", "new"]


def test_a_cancelled_change_leaves_the_old_sockets(tmp_path: Path, listeners: Listeners) -> None:
    """And removes what was opened for it."""
    old, new = UnixEndpoint(str(tmp_path / "old")), UnixEndpoint(str(tmp_path / "new"))
    listeners.commit(listeners.change({"policy": (old,)}))
    listeners.cancel(listeners.change({"policy": (new,)}))
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [each.endpoint for each in listeners.groups()["policy"]] == [old]


def test_a_new_mode_is_given_to_the_open_socket(tmp_path: Path, listeners: Listeners) -> None:
    """No connection is lost for it."""
    path = tmp_path / "s"
    listeners.commit(listeners.change({"policy": (UnixEndpoint(str(path), 0o600),)}))
    before = path.lstat().st_ino
    listeners.commit(listeners.change({"policy": (UnixEndpoint(str(path), 0o666),)}))
    assert (path.lstat().st_ino, stat.S_IMODE(path.lstat().st_mode)) == (before, 0o666)


def test_a_socket_file_that_was_deleted_is_made_again(tmp_path: Path, listeners: Listeners) -> None:
    """By the next reload."""
    path = tmp_path / "s"
    wanted = {"policy": (UnixEndpoint(str(path)),)}
    listeners.commit(listeners.change(wanted))
    path.unlink()
    listeners.commit(listeners.change(wanted))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_files_go_at_the_end(tmp_path: Path) -> None:
    """Ours, and nobody else's."""
    path = tmp_path / "s"
    listeners = Listeners({})
    listeners.commit(listeners.change({"policy": (UnixEndpoint(str(path)),)}))
    listeners.close()
    assert not path.exists()


def test_sockets_of_systemd_are_used_by_name() -> None:
    """All of one name serve the same front end; names that nobody wants are told."""
    with (
        listen_inet(InetEndpoint("127.0.0.1", 0)) as one,
        listen_inet(InetEndpoint("127.0.0.1", 0)) as two,
        listen_inet(InetEndpoint("127.0.0.1", 0)) as three,
    ):
        listeners = Listeners({"policy": (one, two), "other": (three,)})
        listeners.commit(listeners.change({"policy": (DescriptorEndpoint("policy"),)}))
        assert [each.socket for each in listeners.groups()["policy"]] == [one, two]
        assert listeners.unused() == ("other",)
        listeners.commit(listeners.change({}))
        assert one.fileno() >= 0
        listeners.close()


def test_tcp_sockets_are_kept_over_a_change(listeners: Listeners) -> None:
    """The same address is the same socket."""
    wanted = {"policy": (InetEndpoint("127.0.0.1", free_port("127.0.0.1")),)}
    listeners.commit(listeners.change(wanted))
    before = listeners.groups()["policy"][0].socket
    listeners.commit(listeners.change(wanted))
    assert listeners.groups()["policy"][0].socket is before
