"""Access control lists: what an identifier may do with a mailbox.

An ACL is `identifier TAB rights TAB` over and over; rights are letters, as in
RFC 4314, with the older `c` and `d` for several at once.  An identifier with
`-` in front takes rights away, whatever the others give (lib/acl.c and
lib/acl_afs.c).  Groups and ptloader are not asked: mail comes from a sender
that has not logged in, a member of `anyone` and `anonymous` only.

Limits: `acl_admin_implies_write` and a `deleteright` other than `c` are not
looked at; neither changes who may look up a mailbox or post to it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

LOOKUP = 1 << 0
READ = 1 << 1
SETSEEN = 1 << 2
WRITE = 1 << 3
INSERT = 1 << 4
POST = 1 << 5
CREATE = 1 << 6
DELETEMBOX = 1 << 7
DELETEMSG = 1 << 8
EXPUNGE = 1 << 9
ADMIN = 1 << 10
ANNOTATEMSG = 1 << 11

# The identifiers of a client that has not logged in.
NOBODY = (b"anyone", b"anonymous")

_LETTERS = {
    ord("l"): LOOKUP,
    ord("r"): READ,
    ord("s"): SETSEEN,
    ord("w"): WRITE,
    ord("i"): INSERT,
    ord("p"): POST,
    ord("k"): CREATE,
    ord("x"): DELETEMBOX,
    ord("t"): DELETEMSG,
    ord("e"): EXPUNGE,
    ord("a"): ADMIN,
    ord("n"): ANNOTATEMSG,
}

# Letters of RFC 2086 that stand for several rights, unless one of these is
# given by its own letter.
_MACROS = {
    ord("c"): CREATE | DELETEMBOX,
    ord("d"): DELETEMSG | EXPUNGE,
}


def rights(acl: bytes, identifiers: Container[bytes] = NOBODY) -> int:
    """The rights, as bits, that the `identifiers` have together in `acl`.

    Letters that mean nothing, and a last identifier whose rights are not
    complete, are skipped; sites' own rights (digits) have no bit here.
    """
    granted = taken = 0
    fields = acl.partition(b"\0")[0].split(b"\t")
    for index in range(0, len(fields) - 2, 2):
        identifier, letters = fields[index], fields[index + 1]
        if identifier.startswith(b"-"):
            if identifier[1:] in identifiers:
                taken |= _mask(letters)
        elif identifier in identifiers:
            granted |= _mask(letters)
    return granted & ~taken


def _mask(letters: bytes) -> int:
    mask = macros = 0
    for letter in letters:
        mask |= _LETTERS.get(letter, 0)
    for letter, several in _MACROS.items():
        if letter in letters and not mask & several:
            macros |= several
    return mask | macros
