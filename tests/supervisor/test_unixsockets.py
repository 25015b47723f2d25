"""Unix listening sockets: permissions, stale ones, and what is left alone."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.endpoints import UnixEndpoint
from gateway.supervisor import unixsockets
from gateway.supervisor.unixsockets import ListenError
from tests.rigs.require import require_root


def refusal(endpoint: UnixEndpoint) -> str:
    """The message with which listening is refused."""
    with pytest.raises(ListenError) as caught:
        unixsockets.listen(endpoint)
    return str(caught.value)


def stale(path: Path) -> None:
    """A socket file that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_the_file_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int) -> None:
    """The umask has no say, and is as before afterwards."""
    path = tmp_path / "s"
    before = os.umask(0o077)
    try:
        listener, inode = unixsockets.listen(UnixEndpoint(str(path), mode))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    with listener:
        found = path.lstat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode
        assert inode == (found.st_dev, found.st_ino)
        assert not listener.getblocking()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_the_file_gets_the_group_that_was_asked_for(tmp_path: Path) -> None:
    """For an MTA that is in that group."""
    require_root("only root may give files away")
    path = tmp_path / "s"
    listener, _ = unixsockets.listen(UnixEndpoint(str(path), group="mail", user="daemon"))
    with listener:
        assert (path.group(), path.owner()) == ("mail", "daemon")


def test_a_group_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """Before anything is made."""
    path = tmp_path / "s"
    assert refusal(UnixEndpoint(str(path), group="no-such-group")) == (
        f"cannot listen on unix:{path}?group=no-such-group: "
        'there is no group "no-such-group"; create it or name another one'
    )
    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """A killed process does not keep its successor out."""
    path = tmp_path / "s"
    stale(path)
    listener, inode = unixsockets.listen(UnixEndpoint(str(path)))
    with listener:
        assert unixsockets.inode_of(str(path)) == inode


def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    """The first one goes on undisturbed."""
    path = tmp_path / "s"
    first, inode = unixsockets.listen(UnixEndpoint(str(path)))
    with first:
        assert refusal(UnixEndpoint(str(path))) == (
            f"cannot listen on unix:{path}: another process accepts connections there, perhaps a "
            f"second instance; stop it (fuser {path} shows it) or choose another path"
        )
        assert unixsockets.inode_of(str(path)) == inode


def _datagram(path: Path) -> socket.socket:
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.bind(str(path))
    return other


def test_another_programs_datagram_socket_is_left_alone(tmp_path: Path) -> None:
    """Such as /dev/log: a connect says nothing about who serves it."""
    path = tmp_path / "s"
    with _datagram(path):
        assert "whether a process serves it is unknown" in refusal(UnixEndpoint(str(path)))
    assert path.exists()


def _file(path: Path) -> None:
    path.write_text("precious")


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [_file, _folder, _link, _fifo])
def test_a_foreign_file_is_never_removed(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Whatever is not a socket stays."""
    path = tmp_path / "s"
    make(path)
    before = path.lstat()
    assert refusal(UnixEndpoint(str(path))) == (
        f"cannot listen on unix:{path}: {path} is not a socket; it is left alone, so move it away"
    )
    assert path.lstat().st_ino == before.st_ino


@pytest.mark.parametrize(
    ("path", "group", "command"),
    [
        ("{}/none/s", None, "install -d -o cyrus -m 0755 {}/none"),
        ("{}/none/s", "postfix", "install -d -o cyrus -g postfix -m 0750 {}/none"),
        (
            "/run/nonexistent/s",
            "postfix",
            "install -d -m 0755 /run/nonexistent (and by tmpfiles.d: /run is empty at each boot)",
        ),
    ],
)
def test_a_missing_folder_is_named(
    tmp_path: Path, path: str, group: str | None, command: str
) -> None:
    """With what makes it, as the documents have it."""
    endpoint = UnixEndpoint(path.format(tmp_path), group=group)
    with pytest.raises(ListenError) as caught:
        unixsockets.require_place(UnixEndpoint(endpoint.path))
    assert f"cannot listen on unix:{endpoint.path}: No such file" in str(caught.value)
    assert unixsockets.command(endpoint) == command.format(tmp_path)


def test_the_file_is_removed_only_while_it_is_ours(tmp_path: Path) -> None:
    """A successor's socket at the same path survives our end."""
    path = tmp_path / "s"
    listener, inode = unixsockets.listen(UnixEndpoint(str(path)))
    with listener:
        path.unlink()
        stale(path)
        assert not unixsockets.unlink_if(str(path), inode)
        assert path.exists()


def test_folders_that_sendmail_does_not_trust_are_told(tmp_path: Path) -> None:
    """Writable by the group or by others, anywhere above the socket."""
    open_folder = tmp_path / "open"
    inner = open_folder / "inner"
    inner.mkdir(parents=True)
    open_folder.chmod(0o775)
    inner.chmod(0o755)
    warnings = list(unixsockets.folder_warnings(UnixEndpoint(str(inner / "s"))))
    assert warnings[0] == (
        f"unix:{inner}/s: the folder {open_folder} may be written by its group, and Sendmail "
        "refuses a socket below it; use a folder of its own: install -d -m 0755 /run/smmapd"
    )
    assert not any(str(inner) + " may" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("number", "what_to_do"),
    [
        (errno.ENOSPC, "make room for files in {folder} (df and df -i show what there is)"),
        (errno.EDQUOT, "the quota of the gateway's user for files in {folder} is used up"),
        (errno.EROFS, "choose a folder that can be written"),
    ],
    ids=["full", "quota", "read-only"],
)
def test_a_disk_that_takes_no_socket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what_to_do: str
) -> None:
    """With what to do; nothing is left there."""

    def bind(_listener: socket.socket, _path: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(unixsockets, "_bind_private", bind)
    told = refusal(UnixEndpoint(str(tmp_path / "socket")))
    assert f"{os.strerror(number)}; {what_to_do.format(folder=tmp_path)}" in told
    assert os.listdir(tmp_path) == []
