"""A twoskip database at a path, for tests of what happens when another file takes its place."""

from __future__ import annotations

import os

from gateway.cyrus.db.reopening import ReopeningDatabase
from tests.support.twoskip_writer import Writer


class Store:
    """A twoskip database at a path, and how it is replaced."""

    def __init__(self, folder: object) -> None:
        self.path = f"{folder}/mailboxes.db"
        self.writer = Writer(seed=1)

    def commit(self, **records: bytes) -> None:
        """Write `records` into the file that is there."""
        self.writer.fill((key.encode(), value) for key, value in records.items())
        self.overwrite(self.writer.image())

    def overwrite(self, image: bytes) -> None:
        with open(self.path, "ab"):
            pass
        with open(self.path, "r+b") as file:
            file.truncate(len(image))
            file.write(image)

    def repack(self) -> None:
        """Rename a new file into place."""
        self.writer = self.writer.repacked()
        self.rename(self.writer.image())

    def rename(self, image: bytes) -> None:
        with open(self.path + ".NEW", "wb") as file:
            file.write(image)
        os.rename(self.path + ".NEW", self.path)

    def open(self, configured: str = "twoskip") -> ReopeningDatabase:
        return ReopeningDatabase(self.path, configured)
