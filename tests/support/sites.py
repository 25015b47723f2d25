"""A small store on the disk, a verdict cache that answers from it, and changes as Cyrus makes them."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import Verifier
from tests.stores import dbkey, record
from tests.support.twoskip_writer import Writer

OLD = (1_600_000_000, 1_600_000_000)  # seconds: long before any racy time


class Site:
    """A store with a twoskip mailbox list and quota roots in files, changed as Cyrus does."""

    def __init__(self, root: Path, quota_db: str = "quotalegacy", more: str = "") -> None:
        self.conf = root / "conf"
        self.conf.mkdir()
        self.list = Writer(seed=1)
        self.list.fill(
            (dbkey(b"user." + name), record()) for name in (b"fred", b"anna", b"over", b"zoe")
        )
        self.write_list()
        path = root / "imapd.conf"
        path.write_text(
            f"configdirectory: {self.conf}\nmboxlist_db: twoskip\nquota_db: {quota_db}\n{more}"
        )
        self.verifier = Verifier.for_store(CyrusStore(imapdconf.load(str(path), "smmap"), b"smmap"))
        self.cache = VerdictCache(self.verifier)

    def write_list(self) -> None:
        """Put the list's present bytes into the file, in place, as a commit does."""
        self.put("mailboxes.db", self.list)

    def put(self, name: str, writer: Writer) -> None:
        """The same for any database."""
        fd = os.open(self.conf / name, os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, writer.image(), 0)
        os.close(fd)

    def quota(self, user: str, text: str | None, times: tuple[int, int] | None = OLD) -> None:
        """Write, or remove, the quota root of a user, by rename as Cyrus does."""
        path = self.conf / "quota" / user[0] / f"user.{user}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
            return
        new = path.with_name(path.name + ".NEW")
        new.write_text(text + "\n")
        if times is not None:
            os.utime(new, times)
        new.rename(path)

    def ask(self, recipient: bytes) -> Verdict:
        """A question in a turn of its own."""
        self.cache.expire_tick()
        verdict = self.cache.decide(Query(recipient))
        assert isinstance(verdict, Verdict)
        return verdict

    def kind(self, recipient: bytes) -> Kind:
        """The kind of the verdict, which must be the one that a fresh look gives."""
        fresh = self.verifier.decide(Query(recipient))
        assert isinstance(fresh, Verdict)
        given = self.ask(recipient)
        assert (given.kind, given.reason) == (fresh.kind, fresh.reason)
        return given.kind


def create(site: Site) -> None:
    """A mailbox, committed as Cyrus does."""
    site.list.store(dbkey(b"user.newton"), record())
    site.list.commit()
    site.write_list()


def delete(site: Site) -> None:
    """Fred's mailbox is deleted."""
    site.list.delete(dbkey(b"user.fred"))
    site.list.commit()
    site.write_list()


def repack(site: Site) -> None:
    """Another file, with the same mailboxes, by rename."""
    site.list.delete(dbkey(b"user.fred"))
    site.list.commit()
    new = site.conf / "mailboxes.db.NEW"
    new.write_bytes(site.list.repacked().image())
    new.rename(site.conf / "mailboxes.db")
