"""Addresses of the Sender Rewriting Scheme: bounces that a rewriter has to unwrap.

`SRS0=HASH=TT=HOST=LOCAL@ours` and `SRS1=...` stand for senders of forwarded
mail.  There are no such mailboxes; postsrsd, or what else rewrites, makes the
sender's own address of it, later than the gateway is asked.

Source: the SRS paper and libsrs2: the tag, in any case, and one of `=`, `+`,
`-` behind it.
"""

from __future__ import annotations

_TAGS = (b"srs0", b"srs1")
_SEPARATORS = frozenset(b"=+-")


def is_srs(local: bytes) -> bool:
    """Whether a local part is that of a rewritten sender."""
    return local[:4].lower() in _TAGS and len(local) > 4 and local[4] in _SEPARATORS
