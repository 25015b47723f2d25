"""The steps of the authority "delivery" as rows of a label and a text, for people.

Each function gets the facts of one step (gateway/verification/delivery_checks.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus import autocreate
from gateway.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

# A label and a text.
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
        return [address, ("result", f"lmtpd takes no such address: {text(facts['problem'])}")]
    shared = facts["userid"] is None
    domain = text(facts["domain"]) if facts["domain"] is not None else "none that counts"
    return [
        address,
        ("user", "none: a shared folder" if shared else text(facts["userid"])),
        ("domain", domain),
        ("folder", text(facts["folders"]) or "none given"),
        ("mailbox", text(facts["mailbox"]) or "none"),
        ("record key", text(facts["key"]) or "none"),
    ]


def creation(facts: Mapping[str, object]) -> list[Row]:
    """Whether delivery makes the INBOX."""
    return [("INBOX", f"{_OUTCOMES[str(facts['result'])]}: {text(facts['reason'])}")]


def catch_all(facts: Mapping[str, object]) -> list[Row]:
    """What takes mail that is refused."""
    return [("mailbox", f"{text(facts['mailbox'])} (lmtp_catchall_mailbox) is asked instead")]


def folder(facts: Mapping[str, object]) -> list[Row]:
    """What becomes of the folder behind the plus."""
    called = text(facts["folder"])
    if not facts["found"]:
        return [("folder", f"no folder {called}; {INTO_INBOX}")]
    if not facts["post"]:
        return [("folder", f"not everybody may post to {called}; {INTO_INBOX}")]
    if facts["unfit"] and not facts.get("fits"):
        return [("folder", f"{called} takes no mail ({text(facts['unfit'])}); {INTO_INBOX}")]
    if facts["unfit"]:
        return [("folder", f"{called} takes no mail now ({text(facts['unfit'])}), and soon may")]
    if facts.get("fits") is False:
        return [("folder", f"it does not fit into {called} either")]
    return [("folder", f"delivery puts it into {called}, or into INBOX if it does not fit there")]


def kept(facts: Mapping[str, object]) -> list[Row]:
    """Why a shared folder takes no mail, whatever its record says."""
    folder_, option = text(facts["folder"]), text(facts["option"])
    return [("folder", f"lmtpd puts no mail into {folder_}, by its name ({option} in imapd.conf)")]


def text(value: object) -> str:
    """One of a step's facts for people: printable."""
    return printable(value) if isinstance(value, (bytes, str)) else str(value)
