"""Indexes that others have made, old ones and new ones, while anything happens to the list: no wrong answer.

Commits, backups that are put over the file, repacks, processes that make indexes, and readers that
come, are offered any index that there was, and take it in pieces, in an order that is drawn.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.db.twoskip import index as twoskip_index
from gateway.cyrus.db.twoskip import shared as twoskip_shared
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.support.twoskip_writer import Writer

NAMES = [b"user.%d" % number for number in range(30)]
NOBODY = b"user.nobody"
# Events of one world, and worlds: an order that goes wrong shows in some of fifty.
EVENTS = 120
WORLDS = 6


class World:
    """A list, the indexes that were made of it, and the readers that use them."""

    def __init__(self, path: str, seed: int) -> None:
        self.chance = Random(seed)
        self.path = path
        self.writer = Writer(seed=seed)
        self.writer.fill((name, b"value") for name in NAMES[:15])
        self.backups: list[Writer] = []
        self.made: list[int] = []
        self.builder: Twoskip | None = None
        self.put()
        self.readers = [ReopeningDatabase(path, "twoskip") for _ in range(2)]
        self.used = 0  # looks with an index

    def put(self, *, over: bool = True) -> None:
        """Write the file in place, as cp(1) puts a backup over it or as it grows."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        if over:
            os.ftruncate(fd, 0)
        os.pwrite(fd, self.writer.image(), 0)
        os.close(fd)

    def store(self) -> None:
        """A mailbox is made or changed."""
        self.writer.store(self.chance.choice(NAMES), b"%d" % self.chance.randrange(99))
        self.writer.commit()
        self.put(over=False)

    def delete(self) -> None:
        """One goes, if it is there."""
        name = self.chance.choice(NAMES)
        if name in self.writer.committed:
            self.writer.delete(name)
            self.writer.commit()
            self.put(over=False)

    def back_up(self) -> None:
        """Somebody keeps the file as it is."""
        self.backups.append(copy.deepcopy(self.writer))

    def restore(self) -> None:
        """One of those is put over it, and perhaps commits come before anybody looks."""
        if self.backups:
            self.writer = copy.deepcopy(self.chance.choice(self.backups))
            self.writer._random.seed(self.chance.random())
            for _ in range(self.chance.randrange(5)):
                self.writer.store(self.chance.choice(NAMES), b"other")
                self.writer.commit()
            self.put()

    def repack(self) -> None:
        """Another file takes its place."""
        self.writer = self.writer.repacked()
        Path(f"{self.path}.NEW").write_bytes(self.writer.image())
        os.rename(f"{self.path}.NEW", self.path)

    def build(self) -> None:
        """Another process begins an index, or goes on with it, and hands it over."""
        if self.builder is None:
            self.builder = Twoskip(FileView(self.path))
            return
        for _ in range(self.chance.randrange(1, 9)):
            if not self.builder.build_index_step():
                descriptor = self.builder.export_index()
                if descriptor is not None:
                    self.made.append(descriptor)
                self.builder.close()
                self.builder = None
                return

    def offer(self) -> None:
        """Somebody is offered one of the last."""
        if self.made:
            self.chance.choice(self.readers).offer_index(self.chance.choice(self.made[-3:]))

    def begin(self) -> None:
        """A process takes another one's place, with what was kept."""
        number = self.chance.randrange(len(self.readers))
        self.readers[number].close()
        reader = self.readers[number] = ReopeningDatabase(self.path, "twoskip")
        for each in self.made[-2:]:
            reader.offer_index(each)
        while reader.build_index_step(alone=False):
            pass

    def step(self) -> None:
        """Somebody does a piece of what there is to do."""
        self.chance.choice(self.readers).build_index_step(alone=self.chance.random() < 0.15)

    def ask(self) -> None:
        """Everybody answers as the file is."""
        for reader in self.readers:
            reader.state()
            for name in [*NAMES, NOBODY]:
                true = self.writer.committed.get(name)
                absent = reader.known_absent(name)
                assert not (absent and true is not None), name
                self.used += absent
                assert reader.get_seen(name) == true, name
                assert reader.get(name) == true, name

    def close(self) -> None:
        """Give everything back."""
        for each in [*self.readers, *filter(None, [self.builder])]:
            each.close()
        for descriptor in self.made:
            os.close(descriptor)


@contextmanager
def world(path: str, seed: int) -> Iterator[World]:
    """One, with pieces of sizes that are drawn."""
    chance = Random(seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(twoskip_index, "FOLLOWED", chance.choice([100, 600, 200_000]))
        patched.setattr(twoskip_index, "CHUNK", chance.choice([700, 3000, 400_000]))
        patched.setattr(twoskip_index, "MOST_RECENT", chance.choice([5, 20, 65_536]))
        patched.setattr(twoskip_shared, "_PIECE", chance.choice([500, 1 << 20]))
        made = World(path, seed)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("first", range(0, 8 * WORLDS, WORLDS))
def test_no_index_says_what_is_not_in_the_file(tmp_path: Path, first: int) -> None:
    """Of whichever age it is, and whatever has happened since."""
    used = 0
    for seed in range(first, first + WORLDS):
        with world(str(tmp_path / f"{seed}.db"), seed) as each:
            events = {
                each.store: 3,
                each.delete: 2,
                each.back_up: 1,
                each.restore: 2,
                each.repack: 0.3,
                each.build: 4,
                each.offer: 3,
                each.begin: 3,
                each.step: 4,
                each.ask: 5,
            }
            for event in each.chance.choices([*events], [*events.values()], k=EVENTS):
                event()
            used += each.used
    assert used > 0
