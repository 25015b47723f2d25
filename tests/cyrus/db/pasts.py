"""Files with two pasts: the same backup, and as much committed behind it, in each log format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.cyrus.db.twom.twom import Twom
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.cyrus.db.histories import Verb, play
from tests.support.skiplist_writer import SkiplistWriter, finish
from tests.support.twom_writer import TwomWriter
from tests.support.twoskip_writer import Writer

Reader = Twoskip | Skiplist | Twom

COMMIT: Verb = ("commit", b"", b"")


def store(*keys: bytes, value: bytes = b"default fred lrswip") -> list[Verb]:
    """A transaction that writes these records."""
    return [*(("store", key, value) for key in keys), COMMIT]


def delete(key: bytes) -> list[Verb]:
    """A transaction that deletes one."""
    return [("delete", key, b""), COMMIT]


def _twoskip(_folder: Path, verbs: list[Verb]) -> bytes:
    writer = Writer(seed=3)
    for verb, key, value in verbs:
        match verb:
            case "store":
                writer.store(key, value)
            case "delete":
                writer.delete(key)
            case _:
                writer.commit()
    return writer.image()


def _skiplist(folder: Path, verbs: list[Verb]) -> bytes:
    writer = SkiplistWriter(str(folder / "writer.db"), 7)
    finish(play(writer, verbs))
    writer.close()
    return bytes(writer.data)


def _checkpointed(folder: Path, verbs: list[Verb]) -> bytes:
    """A skiplist whose first records are INORDER ones."""
    writer = SkiplistWriter(str(folder / "writer.db"), 7)
    finish(play(writer, COMMON))
    finish(writer.checkpoint())
    finish(play(writer, verbs[len(COMMON) :]))
    writer.close()
    return bytes(writer.data)


def _twom(folder: Path, verbs: list[Verb]) -> bytes:
    writer = TwomWriter(str(folder / "writer.db"), 7)
    finish(play(writer, verbs))
    writer.close()
    return bytes(writer.data)


Make = Callable[[Path, list[Verb]], bytes]
Open = Callable[[FileView], Reader]

FORMATS: dict[str, tuple[Make, Open]] = {
    "twoskip": (_twoskip, Twoskip),
    "skiplist": (_skiplist, Skiplist),
    "checkpointed": (_checkpointed, Skiplist),
    "twom": (_twom, Twom),
}

# No first record ends behind this.
DUMMY_END = 512

COMMON = store(b"user.anna", b"user.bob", b"user.carl", b"user.fred", b"user.zoe")

# Two histories behind the same backup, of the same length, with the same numbers of pointers.
PASTS = {
    "another recipient": (store(b"user.mary"), store(b"user.mark")),
    "the same last commit": (
        [*delete(b"user.anna"), *store(b"user.mary")],
        [*delete(b"user.bob"), *store(b"user.mary")],
    ),
    "another order": (
        [*store(b"user.mary"), *store(b"user.mark"), *store(b"user.ruth")],
        [*store(b"user.mark"), *store(b"user.mary"), *store(b"user.ruth")],
    ),
    "another value": (
        store(b"user.fred", value=b"default fred lrswip"),
        store(b"user.fred", value=b"default anna lrswip"),
    ),
}


class Disk:
    """A file, its reader, and what is written over it in place."""

    def __init__(self, folder: Path, form: str) -> None:
        self._make, self._open = FORMATS[form]
        self._folder = folder
        self.path = folder / "file.db"

    def image(self, *parts: list[Verb]) -> bytes:
        """The bytes of a file with this history behind COMMON."""
        return self._make(self._folder, [*COMMON, *(verb for part in parts for verb in part)])

    def put(self, image: bytes) -> None:
        """As `rsync --inplace` does: the same file, and no moment at which it is short."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(descriptor, image, 0)
        os.ftruncate(descriptor, len(image))
        os.close(descriptor)

    def reader(self) -> Reader:
        """A reader of it."""
        return self._open(FileView(str(self.path)))
