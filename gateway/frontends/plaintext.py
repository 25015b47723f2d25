"""Whether a saved file is a list in lines of text, or something else by mistake.

An upload of the wrong file, an editor's other encoding, a page that says "404"
in the file's place: read line by line they would be a list of nothing, and
every name in it would be refused.  What is looked for is what tells
such a file from a list with mistakes in it; mistakes are a matter of lines.
"""

from __future__ import annotations

# Marks at the beginning of texts in Unicode's encodings; that of UTF-8 is not a fault.
_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")

# What compiled tables begin with, in either byte order: where, and which bytes.  Berkeley DB's hash
# and btree, LMDB's first page.
_MAGICS = (
    (12, b"\x61\x15\x06\x00"),
    (12, b"\x00\x06\x15\x61"),
    (12, b"\x62\x31\x05\x00"),
    (12, b"\x00\x05\x31\x62"),
    (16, b"\xde\xc0\xef\xbe"),
    (16, b"\xbe\xef\xc0\xde"),
)
# A cdb or dbm has NULs in plenty: more than one byte in so many, of those at the beginning.
_HEAD = 4096
_PLENTY = 16
_COMPILED = (
    "this is a compiled database; name the text file that it is made of (the same path without "
    ".db, .lmdb or .cdb)"
)

# How pages begin, in lower case, behind blanks.
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<!--")
_LONGEST_PAGE = 16


def text_of(data: bytes) -> bytes:
    """`data` without the mark that some editors put before UTF-8."""
    return data.removeprefix(_UTF8_MARK)


def unusable(data: bytes) -> str | None:
    """What `data` is instead of a text in lines, or None."""
    if any(data[offset : offset + len(magic)] == magic for offset, magic in _MAGICS):
        return _COMPILED
    head = data[:_HEAD]
    nuls = head.count(0)
    one_side = nuls in (head[::2].count(0), head[1::2].count(0))
    if data.startswith(_OTHER_MARKS) or (one_side and nuls * 4 > len(head)):
        return "is UTF-16; save it in UTF-8"
    if nuls * _PLENTY > len(head):
        return _COMPILED
    if b"\0" in data:
        return "holds NUL bytes and is not text; save it in UTF-8"
    if data.lstrip()[:_LONGEST_PAGE].lower().startswith(_PAGES):
        return "is a page of HTML or XML; put the list there"
    bare = data.count(b"\r") - data.count(b"\r\n")
    if bare and bare >= data.count(b"\n"):
        return "ends its lines with CR alone; save it with LF"
    return None


def mostly_wrong(wrong: int, right: int) -> bool:
    """Whether a file with so many wrong and right lines is another kind of file."""
    return wrong > right
