"""What the structure of an unchecksummed file shows: a temporary failure for the one it concerns.

And something else in a file's place, for everybody that needs it.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator

import pytest

from gateway.verification.kinds import Kind
from tests.support.fault_sites import FORMATS, TRUTH, Site, ask, close

FAULT = Kind.STORE_FAULT

# Format of the mailbox list, what is done to its bytes, and the recipients that it concerns.
Damage = Callable[[bytes], bytes]
SHOWN: list[tuple[str, str, Damage, tuple[bytes, ...]]] = [
    ("flat", "cut off in a line", lambda b: b[:-1], (b"anna", b"nobody")),
    ("flat", "a block of zeros", lambda b: b[:80] + bytes(16) + b[96:], (b"anna", b"nobody")),
    ("flat", "zeros behind the end", lambda b: b + bytes(4096), (b"anna", b"nobody")),
    ("skiplist", "no magic", lambda b: b"?" + b[1:], (b"anna", b"nobody")),
    ("skiplist", "another version", lambda b: b[:23] + b"\x09" + b[24:], (b"anna", b"nobody")),
    ("skiplist", "cut off in the header", lambda b: b[:40], (b"anna", b"nobody")),
    ("skiplist", "no dummy record", lambda b: b[:48] + bytes(4) + b[52:], (b"anna", b"nobody")),
    ("skiplist", "no records", lambda b: b[:144] + bytes(len(b) - 144), (b"anna", b"greta")),
    ("skiplist", "its records cut off", lambda b: b[:300], (b"anna", b"greta")),
    ("sql", "no magic", lambda b: b"?" + b[1:], (b"anna", b"nobody")),
    ("sql", "cut off in its first page", lambda b: b[:300], (b"anna", b"nobody")),
    ("sql", "its schema in zeros", lambda b: b[:100] + bytes(412) + b[512:], (b"anna", b"nobody")),
    ("sql", "its pages in zeros", lambda b: b[:512] + bytes(len(b) - 512), (b"anna", b"nobody")),
    ("sql", "a size in ones", lambda b: b[:316] + b"\xff" * 8 + b[324:], (b"anna", b"nobody")),
    ("sql", "its pages cut off", lambda b: b[:512], (b"anna", b"nobody")),
]


@pytest.mark.parametrize(
    ("form", "damage", "concerned"),
    [pytest.param(f, d, who, id=f"{f}-{name}".replace(" ", "-")) for f, name, d, who in SHOWN],
)
def test_damage_that_shows(
    form: str, damage: Damage, concerned: tuple[bytes, ...], tmp_path: os.PathLike[str]
) -> None:
    """Without a checksum, too, damage that the structure shows is a temporary failure."""
    site = Site(os.fspath(tmp_path), mailboxes=form)
    site.put(damage(site.image))
    for engine in (site.engine(), site.memory()):
        assert [ask(engine, recipient) for recipient in concerned] == [FAULT] * len(concerned)
        site.put(site.image)
        assert [ask(engine, recipient) for recipient in TRUTH] == [*TRUTH.values()]
        site.put(damage(site.image))
        close(engine)


@pytest.mark.parametrize("text", [b"2048", b"2048\n", b"x\n1\n", b"\0" * 14])
def test_a_quota_record_that_shows_it(text: bytes, tmp_path: os.PathLike[str]) -> None:
    """A quotalegacy file that is cut off or no record concerns its own users only."""
    site = Site(os.fspath(tmp_path), quotas="quotalegacy", victim="quotas")
    site.put(text)
    engine = site.memory()
    assert ask(engine, b"full") is FAULT
    assert ask(engine, b"anna") is Kind.DELIVERABLE
    close(engine)


@pytest.mark.parametrize("text", [b"", b"%(S (1\n", b"%\n"])
def test_a_quota_record_that_limits_nothing(text: bytes, tmp_path: os.PathLike[str]) -> None:
    """An empty file and a list that is cut off set no limit, as in the C program."""
    site = Site(os.fspath(tmp_path), quotas="quotalegacy", victim="quotas")
    site.put(text)
    engine = site.memory()
    assert ask(engine, b"full") is Kind.DELIVERABLE
    close(engine)


# What stands in a file's place.


def _as_nobody(site: Site) -> Iterator[None]:
    os.chmod(site.target, 0)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


def _without_descriptors(site: Site) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open("/dev/null", os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _replaced(put: Callable[[str], object]) -> Callable[[Site], Iterator[None]]:
    def replaced(site: Site) -> Iterator[None]:
        os.unlink(site.target)
        put(site.target)
        yield

    return replaced


def _socket(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    # The path of a socket has little room.
    folder = os.open(os.path.dirname(path), os.O_DIRECTORY)
    listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    os.close(folder)
    listener.close()


PLACES: dict[str, Callable[[Site], Iterator[None]]] = {
    "a folder": _replaced(os.mkdir),
    "a FIFO": _replaced(os.mkfifo),
    "a socket": _replaced(_socket),
    "a loop of links": _replaced(lambda path: os.symlink(path, path)),
    "a device": _replaced(lambda path: os.symlink("/dev/zero", path)),
    "a terminal": _replaced(lambda path: os.symlink("/dev/ptmx", path)),
    "no permission": _as_nobody,
    "no descriptor": _without_descriptors,
}
# Nothing can be said of a recipient that is looked up there.
VICTIMS = {"mailboxes": b"anna", "quotas": b"full", "denials": b"barred"}


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder that other users may enter."""
    path = tempfile.mkdtemp()
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


CONFIGURATIONS = [
    *(("mailboxes", form) for form in FORMATS),
    *((victim, form) for form in FORMATS if form != "sql" for victim in ("quotas", "denials")),
    ("quotas", "quotalegacy"),
]


@pytest.mark.parametrize(("victim", "form"), CONFIGURATIONS)
@pytest.mark.parametrize("place", PLACES)
def test_what_stands_in_its_place(form: str, victim: str, place: str, folder: str) -> None:
    """Without and with remembered verdicts: a temporary failure, at once, and an end to it."""
    site = Site(folder, **{victim: form}, victim=victim)
    for prepare in (site.engine, site.memory):
        engine = prepare()
        with Happening(PLACES[place], site):
            assert ask(engine, VICTIMS[victim]) is FAULT
        _restore(site)
        assert [ask(engine, recipient) for recipient in TRUTH] == [*TRUTH.values()]
        close(engine)


class Happening:
    """The time in which one of PLACES is so."""

    def __init__(self, what: Callable[[Site], Iterator[None]], site: Site) -> None:
        self._steps = what(site)

    def __enter__(self) -> None:
        next(self._steps)

    def __exit__(self, *_: object) -> None:
        next(self._steps, None)


def _restore(site: Site) -> None:
    if os.path.isdir(site.target) and not os.path.islink(site.target):
        os.rmdir(site.target)
    elif os.path.lexists(site.target):
        os.unlink(site.target)
    with open(site.target, "wb") as file:
        file.write(site.image)
