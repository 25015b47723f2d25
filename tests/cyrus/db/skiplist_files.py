"""skiplist files for tests: one that Cyrus wrote, and new ones with a writer and readers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from tests.cyrus.db.histories import Verb, play
from tests.golden import FOLDER
from tests.support.skiplist_writer import SkiplistWriter, finish

GOLDEN = os.path.join(FOLDER, "head-skiplist", "conf", "mailboxes.db")
BIG = 1 << 20
NOWHERE = bytes(4) + b"\xff" * 4


@contextmanager
def written(piece: int = BIG) -> Iterator[SkiplistWriter]:
    """A new file and its writer, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        writer = SkiplistWriter(os.path.join(folder, "s.db"), 7, piece)
        try:
            yield writer
        finally:
            writer.close()


def reading(writer: SkiplistWriter) -> closing[Skiplist]:
    """A reader of the writer's file."""
    return closing(Skiplist(FileView(writer.path)))


def checkpointed(writer: SkiplistWriter, history: list[Verb]) -> None:
    """Play the history, commit it, and turn it into INORDER records."""
    finish(play(writer, history))
    finish(writer.commit())
    finish(writer.checkpoint())
