"""Reads quotalegacy: one small file a quota root, in hashed folders.

Sources: lib/cyrusdb_quotalegacy.c, and `dir_hash_c` in lib/libconfig.c.
Below the folder that holds them (configdirectory by default) the files are

    quota/H/ROOT                   H hashes the part behind the root's first dot
    domain/D/DOMAIN/quota/H/ROOT   with virtdomains, for DOMAIN!ROOT; D hashes the domain
    domain/D/DOMAIN/quota/root     with virtdomains, for DOMAIN!, the quota of a whole domain

A file's last LF does not belong to the value.  In the old form ("used" LF
"limit" LF) the first LF becomes a blank, as the C program has it; a value that
starts with `%` is the new form and stays as it is.

Cyrus writes a new file and renames it into place, so what is open is complete.
An administrator may write to it in place, and a restore puts older ones back.  That a
root still says what it said, or still is not there, is proved by a folder in which nothing
has happened; else by a stamp that tells (gateway/cyrus/db/filetoken.py has the argument),
or by ENOENT.  Where it does not tell, because the file was changed only just before
it was read, the file is read again.

The hash folders do not depend on `hashimapspool`; only on `fulldirhash`.
"""

from __future__ import annotations

import os
import stat
import time

from gateway.cyrus.db.base import Database
from gateway.cyrus.db.file import close_read, store_fault
from gateway.cyrus.db.filetoken import AbsenceProof, FileProof, Young, file_token
from gateway.errors import DatabaseDamaged, DatabaseUnavailable
from gateway.files import OPEN_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from gateway.cyrus.folderwatch import FolderWatch

# The longest file that is believed, in bytes; a record with every resource is below 200.
MAX_RECORD = 64 * 1024  # only a bound

# Linux' NAME_MAX: no file has a longer name, in bytes.
MAX_NAME = 255

# The state of a root that has no file.
ABSENT = "absent"

_LETTERS = range(26)  # same with 27: no name has another letter

# For a root that no file can have: an empty path is never there.
_ALWAYS_ABSENT = AbsenceProof(b"")


def folder_hash(name: bytes, full: bool) -> bytes:
    """The one-letter folder for `name`, up to its first dot (`dir_hash_c`).

    With `full` (imapd.conf's fulldirhash) `A` to `W`, else the first letter
    itself in lower case, `q` where that is not a letter.
    """
    if not full:
        first = name[:1].lower()
        return first if b"a" <= first <= b"z" else b"q"
    value = 0
    for byte in name.partition(b".")[0]:
        value = (value << 3 & 0xFFFFFFFF) ^ (value >> 5) ^ byte
    return bytes((ord("A") + value % 23,))


class QuotaLegacy(Database):
    """The Database of all quota roots below one folder (see gateway/cyrus/db/base.py).

    `path` is the folder, `virtdomains` tells whether imapd.conf's virtdomains is
    anything but off, `fulldirhash` is its switch; `now` is the real-time clock in nanoseconds.
    Raises `DatabaseMissing` or `DatabaseUnavailable` where there is no such folder.
    """

    __slots__ = ("_full", "_may_skip_atime", "_now", "_top", "_virtdomains", "path")

    format = "quotalegacy"
    keeps_files = True
    told_by_kernel = True
    path: str

    def __init__(
        self,
        path: str,
        *,
        virtdomains: bool = False,
        fulldirhash: bool = False,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self._top = os.fsencode(path)
        self._virtdomains = virtdomains
        self._full = fulldirhash
        self._may_skip_atime = hasattr(os, "O_NOATIME")
        self._now = now
        self._check_folder()

    def close(self) -> None:
        """Nothing is held open."""

    def get(self, key: bytes) -> bytes | None:
        """The record of the quota root `key`, an internal mailbox name; None where it has none.

        Raises `DatabaseDamaged`, naming the root's file, where that has no last LF.
        """
        return self.get_proved(key)[0]

    def get_proved(
        self, key: bytes, watch: FolderWatch | None = None
    ) -> tuple[bytes | None, FileProof | AbsenceProof | None]:
        """What `get` gives, and what tells later that it is still so.

        It tells at no cost where `watch`, whose events have been read, can
        watch the root's folder, else by one system call.  There is no proof
        where only a stamp could tell, and the file is too young for one
        (gateway/cyrus/db/filetoken.py).
        """
        place = self._path(key)
        if place is None:
            return None, _ALWAYS_ABSENT
        folder = watch.folder(place[: place.rfind(b"/")]) if watch is not None else None
        # same with 1: without a folder nobody looks at it
        seen = folder.changes if folder is not None else 0
        now = self._now()
        try:
            try:
                descriptor = self._open(place, os.O_NOFOLLOW if folder is not None else 0)
            except FileNotFoundError:
                raise
            except OSError as error:
                if folder is None or not _is_link(error):
                    raise
                folder = None  # a symbolic link: where it leads to is not watched
                descriptor = self._open(place)
        except FileNotFoundError:
            # "No quota" is only true while the folder itself is there (not unmounted).
            self._check_folder()
            return None, AbsenceProof(place, folder, seen)
        except OSError as error:
            raise store_fault(os.fsdecode(place), "cannot be opened", error) from error
        text, status = _record(place, descriptor)
        if status.st_nlink > 1:
            folder = None  # written to under its other name, it would not be noticed
        proof = FileProof(place, status, now, folder, seen)
        return text, proof if proof.conclusive else None

    def _open(self, path: bytes, flags: int = 0) -> int:
        """Open for reading, without the inode being written for that where it is permitted.

        A root's file is new after each delivery, and the first read of a new
        file would set its time of access on the disk (mount option relatime).
        """
        if self._may_skip_atime:
            try:
                return os.open(path, OPEN_FLAGS | flags | os.O_NOATIME)
            except PermissionError:  # another user's file, perhaps: see which it was
                self._may_skip_atime = False
        return os.open(path, OPEN_FLAGS | flags)

    def state(self, key: bytes | None = None) -> Hashable:
        """The stamp of the file of root `key`, or `ABSENT`: one system call.

        Without a key the state of all roots together is asked for, which no
        single look at the disk shows: a token that equals nothing.
        """
        if key is None:
            return Young()
        path = self._path(key)
        if path is None:
            return ABSENT
        now = self._now()
        try:
            return file_token(os.stat(path), now)
        except FileNotFoundError:
            return ABSENT
        except OSError as error:
            raise store_fault(os.fsdecode(path), "cannot be examined", error) from error

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All roots that start with `prefix`, sorted, with their records.

        The folders are listed one after the other: a root that comes or goes
        meanwhile may be in or not.
        """
        for root in sorted(self._roots()):
            if root.startswith(prefix):
                record = self.get(root)
                if record is not None:
                    yield root, record

    def _check_folder(self) -> None:
        try:
            mode = os.stat(self.path).st_mode
        except OSError as error:
            raise store_fault(self.path, "the quota roots' folder", error) from error
        if not stat.S_ISDIR(mode):
            raise DatabaseUnavailable(
                self.path, "is not a folder, but quotalegacy keeps its files in one; check quota_db"
            )

    def _path(self, root: bytes) -> bytes | None:
        """The file of `root`, or None where no file can have that name."""
        top = self._top
        domain, mark, name = root.partition(b"!")
        if mark and self._virtdomains:
            if not _is_name(domain):
                return None
            top = b"/".join((top, b"domain", folder_hash(domain, self._full), domain))
            if not name:
                return top + b"/quota/root"
        else:
            name = root
        if not _is_name(name):
            return None
        letter = folder_hash(name[name.find(b".") + 1 :], self._full)
        return b"%b/quota/%b/%b" % (top, letter, name)

    def _roots(self) -> Iterator[bytes]:
        top = self._top
        yield from self._roots_below(top, b"")
        if not self._virtdomains:
            return
        for letter in self._letters():
            folder = top + b"/domain/" + letter
            for domain in _names(folder):
                if folder_hash(domain, self._full) == letter:
                    yield domain + b"!"
                    yield from self._roots_below(folder + b"/" + domain, domain + b"!")

    def _roots_below(self, folder: bytes, domain: bytes) -> Iterator[bytes]:
        for letter in self._letters():
            for name in _names(folder + b"/quota/" + letter):
                if folder_hash(name[name.find(b".") + 1 :], self._full) == letter:
                    yield domain + name

    def _letters(self) -> Iterator[bytes]:
        first = ord("A" if self._full else "a")
        for i in _LETTERS:
            yield bytes((first + i,))


def _record(place: bytes, descriptor: int) -> tuple[bytes, os.stat_result]:
    """The value in the open file of a root, and the file's status; the file is closed then."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DatabaseUnavailable(os.fsdecode(place), "is not a regular file; remove it")
        # same with 2: too long either way
        text = os.read(descriptor, min(status.st_size, MAX_RECORD) + 1)
    except OSError as error:
        raise store_fault(os.fsdecode(place), "cannot be read", error) from error
    finally:
        close_read(descriptor)
    if len(text) > MAX_RECORD or len(text) != status.st_size:
        problem = f"is {status.st_size} bytes long, which no quota record is"
        raise DatabaseDamaged(os.fsdecode(place), problem)
    if text and not text.endswith(b"\n"):
        problem = "does not end with a line feed; run quota -f"
        raise DatabaseDamaged(os.fsdecode(place), problem)
    text = text[:-1]
    return text if text.startswith(b"%") else text.replace(b"\n", b" ", 1), status


def _is_link(error: OSError) -> bool:
    """Whether a file could not be opened because its name is a symbolic link's."""
    import errno  # noqa: PLC0415  (a process for one question starts without it)

    return error.errno == errno.ELOOP


def _is_name(name: bytes) -> bool:
    """Whether a file can have that name, and it leads nowhere else."""
    if not 0 < len(name) <= MAX_NAME or name in (b".", b".."):
        return False
    return b"/" not in name and b"\0" not in name


def _names(folder: bytes) -> list[bytes]:
    """The names in `folder`; none where it does not exist."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise store_fault(os.fsdecode(folder), "cannot be listed", error) from error
