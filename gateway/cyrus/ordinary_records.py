"""Records of the shapes that nearly all have, told by one expression each.

Nothing is read of them but what a first answer needs: is it a mailbox for mail on
this server, is there room under the quota root?  True is said only where the
parsers (mailboxrecord.py, quota.py) find the same; whatever is unusual is False, and
theirs to read.  That takes a fifth of their time.

A module of its own because `re` is too much for a process that answers one question.
"""

from __future__ import annotations

import re

from gateway.cyrus.quota import STORAGE_UNIT

# What an atom may consist of here: nothing that a dlist or its parsers could take for more.
_ATOM = rb"[A-Za-z0-9_.@+=:/-]+"
_PAIR = _ATOM + rb" " + _ATOM

# A dlist of atoms with one ACL and an empty history, of which the first name is T and no
# other is.  What else it names does not matter to a mailbox of type e.
_MAILBOX = re.compile(
    rb"%\(T e(?: (?!T )" + _PAIR + rb")*"
    rb" A %\((?:" + _PAIR + rb"(?: " + _PAIR + rb")*)?\)(?: H \(\))?\)"
)

# As Cyrus 2.5 to 3.12 writes it, with numbers that fit into 64 bits, in bytes, too: limits for
# mail, perhaps for mails, none for annotations and folders.
_NUMBER = rb"[0-9]{1,15}"
_QUOTA = re.compile(
    rb"%%\(S \((%(n)b) (%(n)b)\)(?: M \((%(n)b)(?: (%(n)b))?\)"
    rb"(?: AS \(%(n)b\) NF \(%(n)b\)(?: MODSEQ %(n)b)?)?)?\)" % {b"n": _NUMBER}
)

_is_mailbox = _MAILBOX.fullmatch
_quota = _QUOTA.fullmatch


def is_mailbox(value: bytes) -> bool:
    """Whether a record of the mailbox list is a mailbox for mail that is on this server."""
    return _is_mailbox(value) is not None and b"NIL" not in value


def has_room(value: bytes) -> bool:
    """Whether a quota root has room for one more mail of one byte, and no limit but for mail."""
    found = _quota(value)
    if found is None:
        return False
    used, limit, mails, most = found.groups()
    if int(used) >= int(limit) * STORAGE_UNIT:
        return False
    return most is None or int(mails) < int(most)
