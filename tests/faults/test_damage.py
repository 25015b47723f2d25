"""Databases that are not what they should be: never a crash, a hang, or a wrong answer that shows.

twoskip and twom have checksums: whatever is done to the bytes, the verdict is
right or a temporary failure.  What the other formats cannot show is told by
man/smmapd.8, DAMAGED DATABASES; test_damage_shown.py has what they can.

CI takes a fixed part of the damaged images; `make soak` all of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twom import twom
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.verifier import Verifier
from tests.faults import images
from tests.support.fault_sites import CHECKSUMMED, TRUTH, Site, ask, close

# Set by `make soak`: every image instead of a part of them.
EVERYTHING = os.environ.get("SOAK") == "1"
PART = 1 << 30 if EVERYTHING else 60

# Reads that one verdict may cost, in a file of some thirty records: a search that fails is
# repeated (DAMAGED_ATTEMPTS, WALKS) and each time meets each record a few times at most.
MOST_READS = 3000

CASES = [
    ("twoskip", {"mailboxes": "twoskip"}),
    ("twom", {"mailboxes": "twom"}),
    ("skiplist", {"mailboxes": "skiplist"}),
    ("flat", {"mailboxes": "flat"}),
    ("sql", {"mailboxes": "sql"}),
    ("twoskip", {"quotas": "twoskip", "victim": "quotas"}),
    ("flat", {"quotas": "flat", "victim": "quotas"}),
    ("quotalegacy", {"quotas": "quotalegacy", "victim": "quotas"}),
    ("flat", {"denials": "flat", "victim": "denials"}),
    ("twoskip", {"denials": "twoskip", "victim": "denials"}),
]
NAMES = [f"{case[1].get('victim', 'mailboxes')}-{case[0]}" for case in CASES]

KINDS_OF_DAMAGE: dict[str, Callable[[bytes, str], Iterator[images.Image]]] = {
    "flipped": lambda image, _order: images.flipped(image, (0x01, 0x80, 0xFF)),
    "cut off": lambda image, _order: images.cut_off(image),
    "blotted": lambda image, _order: images.blotted(image, 4),
    "extreme": images.extreme,
    "swapped": lambda image, _order: images.swapped(image),
}


class Reads:
    """Counts the reads of one answer, and ends an answer that takes too many."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0

    def reset(self) -> None:
        self.most = max(self.most, self.count)
        self.count = 0

    def one(self) -> None:
        self.count += 1
        assert self.count <= MOST_READS, "an answer that does not come to an end"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Counted reads; the readers do not wait for writers that are not there."""
    reads = Reads()
    peek = FileView.peek

    def counted(view: FileView, offset: int, length: int) -> bytes:
        reads.one()
        return peek(view, offset, length)

    monkeypatch.setattr(FileView, "peek", counted)
    monkeypatch.setattr(twom, "HEADER_PAUSE", 0)
    return reads


@pytest.fixture(params=CASES, ids=NAMES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """One of CASES."""
    return Site(str(tmp_path), **request.param[1])


def _wrong(engine: Verifier | VerdictCache, reads: Reads) -> list[tuple[bytes, Kind]]:
    """The recipients whose verdict is neither right nor temporary."""
    found = []
    for recipient, truth in TRUTH.items():
        reads.reset()
        kind = ask(engine, recipient)
        if kind is not truth and kind is not Kind.STORE_FAULT:
            found.append((recipient, kind))
    reads.reset()
    return found


@pytest.mark.parametrize("damage", KINDS_OF_DAMAGE)
def test_every_kind_of_damage(site: Site, damage: str, reads: Reads) -> None:
    """A new engine, and one that indexes and remembers, on each damaged image."""
    form = site.format
    order = "little" if form == "twom" else "big"
    broken = images.thinned(KINDS_OF_DAMAGE[damage](site.image, order), PART)
    for name, image in broken:
        site.put(image)
        plain, remembering = site.engine(), site.memory()
        wrong = _wrong(plain, reads)
        for _ in range(2):
            wrong += _wrong(remembering, reads)
            while remembering.build_index_step():
                reads.reset()
        assert not wrong or form not in CHECKSUMMED, (name, wrong)
        close(plain)
        close(remembering)


@pytest.mark.parametrize("damage", KINDS_OF_DAMAGE)
def test_damage_under_a_warm_engine(site: Site, damage: str, reads: Reads) -> None:
    """What is damaged in place, behind an index and remembered verdicts, makes no wrong one."""
    form = site.format
    order = "little" if form == "twom" else "big"
    broken = images.thinned(KINDS_OF_DAMAGE[damage](site.image, order), PART // 3)
    for name, image in broken:
        site.put(site.image)
        engine = site.memory()
        assert _wrong(engine, reads) == []
        while engine.build_index_step():
            reads.reset()
        site.put(image)
        wrong = _wrong(engine, reads)
        assert not wrong or form not in CHECKSUMMED, (name, wrong)
        site.restore()
        assert [ask(engine, recipient) for recipient in TRUTH] == [*TRUTH.values()], name
        close(engine)


ONE_FILE = [case for case in CASES if case[0] not in ("sql", "quotalegacy")]


@pytest.fixture(
    params=ONE_FILE, ids=[n for c, n in zip(CASES, NAMES, strict=True) if c in ONE_FILE]
)
def read_by_us(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """Those of CASES whose reads go through FileView."""
    return Site(str(tmp_path), **request.param[1])


def _during(patch: pytest.MonkeyPatch, number: int, happens: Callable[[], None]) -> None:
    """Let something happen before read `number` of the files."""
    left = [number]
    peek = FileView.peek

    def counted(view: FileView, offset: int, length: int) -> bytes:
        if not left[0]:
            happens()
        left[0] -= 1
        return peek(view, offset, length)

    patch.setattr(FileView, "peek", counted)


@pytest.mark.parametrize("size", [0, 1, 40, 70, 300, -1])
def test_a_file_that_shrinks_while_it_is_read(read_by_us: Site, size: int, reads: Reads) -> None:
    """Between any two reads; the whole file behind it makes the answers right again."""
    site = read_by_us
    shorter = site.image[: size if size >= 0 else len(site.image) - 1]
    for number in range(0, 24, 1 if EVERYTHING else 5):
        site.put(site.image)
        engine = site.engine()
        with pytest.MonkeyPatch.context() as patch:
            _during(patch, number, lambda: site.put(shorter))
            wrong = _wrong(engine, reads)
        assert not wrong or site.format not in CHECKSUMMED, (number, wrong)
        site.put(site.image)
        assert [ask(engine, recipient) for recipient in TRUTH] == [*TRUTH.values()]
        close(engine)


def test_a_disk_that_fails(read_by_us: Site, reads: Reads) -> None:
    """EIO at any read, once: a temporary failure of that answer, and of no other."""
    site = read_by_us
    pread = os.pread
    for number in range(24):
        left = [number]

        def failing(descriptor: int, length: int, offset: int, left: list[int] = left) -> bytes:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return pread(descriptor, length, offset)

        engine = site.memory()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pread", failing)
            assert _wrong(engine, reads) == []
        assert [ask(engine, recipient) for recipient in TRUTH] == [*TRUTH.values()]
        close(engine)
