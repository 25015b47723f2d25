"""A mailbox list that is broken, gone or closed to us: a temporary failure, one log line, and recovery."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from tests.rigs.processes import account
from tests.rigs.require import require
from tests.rigs.socketmap import Connection
from tests.rigs.under_master import IO_ERROR, NOT_FOUND, Serving, serving

pytestmark = pytest.mark.real


def _write(path: str, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate(len(data))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _garbage(path: str) -> None:
    _write(path, b"\xa5" * len(_read(path)))


def _broken_header(path: str) -> None:
    data = bytearray(_read(path))
    data[24] ^= 0xFF  # behind the magic: the checksum is wrong
    _write(path, bytes(data))


def _broken_record(path: str) -> None:
    data = _read(path)
    assert b"fred" in data
    _write(path, data.replace(b"fred", b"frfd"))


def _cut(path: str) -> None:
    os.truncate(path, 200)  # in the first record, which every search begins with


def _emptied(path: str) -> None:
    os.truncate(path, 0)


def _cut_in_the_header(path: str) -> None:
    os.truncate(path, 20)


def _replaced(path: str, make: Callable[[str], None]) -> None:
    owner = account("cyrus")
    shutil.copy(path, path + ".new")
    os.chown(path + ".new", owner.uid, owner.gid)
    make(path + ".new")
    os.rename(path + ".new", path)


def _unreadable(path: str) -> None:
    _replaced(path, lambda new: os.chmod(new, 0))


def _replaced_by_garbage(path: str) -> None:
    _replaced(path, _garbage)


def _folder(path: str) -> None:
    os.unlink(path)
    os.mkdir(path)


def _fifo(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def _loop(path: str) -> None:
    os.unlink(path)
    os.symlink(path, path)


DAMAGE: list[Callable[[str], None]] = [
    _garbage,
    _broken_header,
    _broken_record,
    _cut,
    _cut_in_the_header,
    _emptied,
    _replaced_by_garbage,
    _unreadable,
    os.unlink,
    _folder,
    _fifo,
    _loop,
]


def _restore(path: str, sound: bytes, *, in_place: bool) -> None:
    """Put the old bytes back: into the file itself, or as a new file as a restore from tape does."""
    if in_place and os.path.isfile(path) and not os.path.islink(path):
        os.chmod(path, 0o600)
        _write(path, sound)
        return
    if os.path.isdir(path):
        os.rmdir(path)
    owner = account("cyrus")
    with open(path + ".restored", "wb") as file:
        file.write(sound)
    os.chown(path + ".restored", owner.uid, owner.gid)
    os.rename(path + ".restored", path)


def _faults(service: Serving) -> list[str]:
    errors = (line for line in service.log.messages() if line.startswith("<19>"))  # mail.err
    # Master of 3.10 says that it may not give itself rights.
    return [line for line in errors if "master[" not in line]


class Asker:
    """Asks of fred, whose answer may be remembered, and of somebody new in his place of the list."""

    def __init__(self, connection: Connection, *, known: bool) -> None:
        self._connection = connection
        self._known = known
        self._asked = 0

    def all_is_well(self) -> None:
        """fred exists, the other does not."""
        self._asked += 1
        assert self._connection.ask(b"fred") == b"OK fred"
        assert self._connection.ask(b"fred%d" % self._asked) == NOT_FOUND

    def all_is_trouble(self) -> None:
        """Nobody can be answered (of fred's record, what was read before may still be known)."""
        self._asked += 1
        assert self._connection.ask(b"fred%d" % self._asked) == IO_ERROR
        if not self._known:
            assert self._connection.ask(b"fred") == IO_ERROR


@pytest.mark.parametrize("fresh", [False, True], ids=["open already", "not yet open"])
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_a_temporary_failure_and_ends_by_itself(
    damage: Callable[[str], None], fresh: bool
) -> None:
    """TEMP for as long as the file is broken, one line that names it, OK once it is whole."""
    require("cyrus")
    with serving("-U 1000") as service:
        path = os.path.join(service.cyrus.config, "mailboxes.db")
        sound = _read(path)
        if fresh:
            service.renew(lambda: damage(path))
        with service.connect() as connection:
            # A changed byte within the file shows to a look-up that reads that byte.
            asker = Asker(connection, known=damage is _broken_record)
            if not fresh:
                asker.all_is_well()
                damage(path)
            for _ in range(3):
                asker.all_is_trouble()
            _restore(path, sound, in_place=True)
            asker.all_is_well()
            damage(path)
            asker.all_is_trouble()
            _restore(path, sound, in_place=False)
            asker.all_is_well()
        service.log.wait_for(f"): {path}")
        assert len(_faults(service)) == 1
        service.pid()


@pytest.mark.parametrize("damage", [_garbage, _unreadable], ids=["damaged", "unreadable"])
def test_damaged_quota_root_matters_to_its_users_only(damage: Callable[[str], None]) -> None:
    """One file a root: the others are answered, and so is its own once it is whole."""
    require("cyrus")
    with serving() as service, service.connect() as connection:
        path = os.path.join(service.cyrus.config, "quota", "o", "user.over")
        sound = _read(path)
        assert connection.ask(b"over") == b"TEMP Over quota"
        damage(path)
        assert connection.ask(b"over").startswith(b"TEMP ")
        assert connection.ask(b"fred") == b"OK fred"
        service.log.wait_for(f"verify_user(over): {path}")
        _restore(path, sound, in_place=False)
        assert connection.ask(b"over") == b"TEMP Over quota"


def test_unreadable_userdeny_lets_nobody_slip_through() -> None:
    """A list of denied users that cannot be read is a fault, and one that is gone, too."""
    require("cyrus")
    with serving() as service, service.connect() as connection:
        path = os.path.join(service.cyrus.config, "user_deny.db")
        assert connection.ask(b"fred") == b"OK fred"
        service.cyrus.tools.deny("fred", "smmap", "no")
        assert connection.ask(b"fred") == b"NOTFOUND no"
        sound = _read(path)
        _unreadable(path)
        assert connection.ask(b"fred") == IO_ERROR
        service.log.wait_for(f"verify_user(fred): {path}")
        os.unlink(path)
        assert connection.ask(b"fred") == IO_ERROR
        _restore(path, sound, in_place=False)
        assert connection.ask(b"fred") == b"NOTFOUND no"
