"""The steps of the authority "delivery" as rows of a label and a text, for people.

Each function gets the facts of one step (gateway/verification/delivery_checks.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus import autocreate
from gateway.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = tuple[str, str]

INTO_INBOX = "delivery puts it into INBOX"

_OUTCOMES = {
    autocreate.MADE: "made on delivery",
    autocreate.UNSURE: "counts as made on delivery",
    autocreate.FAILS: "cannot be made",
    autocreate.NO: "not made",
}


def name(facts: Mapping[str, object], recipient: bytes) -> list[Row]:
    """Which user is addressed, as lmtpd reads the address."""
    address = ("address", printable(recipient))
    if "problem" in facts:
        return [address, ("result", f"lmtpd takes no such address: {_text(facts['problem'])}")]
    shared = facts["userid"] is None
    domain = _text(facts["domain"]) if facts["domain"] is not None else "none that counts"
    return [
        address,
        ("user", "none: a shared folder" if shared else _text(facts["userid"])),
        ("domain", domain),
        ("folder", _text(facts["folders"]) or "none given"),
        ("mailbox", _text(facts["mailbox"]) or "none"),
        ("record key", _text(facts["key"]) or "none"),
    ]


def creation(facts: Mapping[str, object]) -> list[Row]:
    """Whether delivery makes the INBOX."""
    return [("INBOX", f"{_OUTCOMES[str(facts['result'])]}: {_text(facts['reason'])}")]


def catch_all(facts: Mapping[str, object]) -> list[Row]:
    """What takes mail that is refused."""
    return [("mailbox", f"{_text(facts['mailbox'])} (lmtp_catchall_mailbox) is asked instead")]


def folder(facts: Mapping[str, object]) -> list[Row]:
    """What becomes of the folder behind the plus."""
    called = _text(facts["folder"])
    if not facts["found"]:
        return [("folder", f"no folder {called}; {INTO_INBOX}")]
    if not facts["post"]:
        return [("folder", f"not everybody may post to {called}; {INTO_INBOX}")]
    if facts["unfit"] and not facts.get("fits"):
        return [("folder", f"{called} takes no mail ({_text(facts['unfit'])}); {INTO_INBOX}")]
    if facts["unfit"]:
        return [("folder", f"{called} takes no mail now ({_text(facts['unfit'])}), and soon may")]
    if facts.get("fits") is False:
        return [("folder", f"it does not fit into {called} either")]
    return [("folder", f"delivery puts it into {called}, or into INBOX if it does not fit there")]


def kept(facts: Mapping[str, object]) -> list[Row]:
    """Why a shared folder takes no mail, whatever its record says."""
    folder_, option = _text(facts["folder"]), _text(facts["option"])
    return [("folder", f"lmtpd puts no mail into {folder_}, by its name ({option} in imapd.conf)")]


def _text(value: object) -> str:
    return printable(value) if isinstance(value, (bytes, str)) else str(value)
