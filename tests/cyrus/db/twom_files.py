"""twom files for tests: one that Cyrus wrote, and new ones with a writer and readers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twom.twom import Twom
from tests.golden import FOLDER
from tests.support.twom_writer import TwomWriter

GOLDEN = os.path.join(FOLDER, "head-twom", "conf", "mailboxes.db")


@contextmanager
def written(**options: bool) -> Iterator[TwomWriter]:
    """A new file and its writer, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        writer = TwomWriter(os.path.join(folder, "t.db"), 7, **options)
        try:
            yield writer
        finally:
            writer.close()


def reading(writer: TwomWriter) -> closing[Twom]:
    """A reader of the writer's file."""
    return closing(Twom(FileView(writer.path)))
