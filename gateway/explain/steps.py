"""The engine's steps as rows of a label and a text, for people.

Each step of `gateway.verification.steps.STEPS` has one function here; what it
gets are the step's facts.  Texts are printable, whatever the store holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus import mailboxtypes
from gateway.cyrus.db import formats
from gateway.cyrus.quota import QuotaRecord
from gateway.explain import deliverysteps
from gateway.explain.deliverysteps import Row, text
from gateway.frontends.replies import WHEN
from gateway.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.cyrus.names import Naming
    from gateway.verification.steps import Step

# When a kind of verdict is given, by its word.
_WHEN = {kind.name: sentence for kind, sentence in WHEN.items()}


def rows(step: Step, recipient: bytes, naming: Naming | None) -> list[Row]:
    """The rows of one step.

    The name's step needs the address that it began with, and the rules of
    names; a store that has no rules has no such step.
    """
    facts = dict(step.facts)
    if step.name == "name":
        if naming is not None and "localpart" in facts:
            return _name(facts, recipient, naming)
        return deliverysteps.name(facts, recipient)
    return _ROWS[step.name](facts)


def domain_decision(recipient: bytes, naming: Naming) -> str:
    """What becomes of the address' domain, and why (imapd.conf: virtdomains, defaultdomain)."""
    _, at, domain = recipient.rpartition(b"@")
    if not at:
        return "none given"
    shown = printable(domain) or "empty"
    if not naming.keeps_domains:
        return f"{shown}: dropped, virtdomains is off"
    if domain.lower() == naming.default_domain.lower():
        return f"{shown}: dropped, it is the default domain"
    return f"{shown}: kept"


def _name(facts: Mapping[str, object], recipient: bytes, naming: Naming) -> list[Row]:
    local = recipient.rpartition(b"@")[0] if b"@" in recipient else recipient
    user, plus, detail = local.partition(b"+")
    reached = text(facts["localpart"])
    if facts["localpart"] is None:
        reached = "none: a shared folder"
    elif naming.downcase and user != user.lower():
        reached += " (in lower case: lmtp_downcase_rcpt)"
    folder = "none given"
    if plus and naming.skip_plus:
        folder = f"{printable(detail)}: ignored ([cyrus] skip_plus)"
    elif plus:
        folder = text(facts["boxes"]) if facts["boxes"] else "empty"
    return [
        ("address", printable(recipient)),
        ("user", reached),
        ("domain", _domain(facts, recipient, naming)),
        ("plus part", folder),
        ("mailbox", text(facts["mailbox"])),
        ("record key", text(facts["key"])),
    ]


def _domain(facts: Mapping[str, object], recipient: bytes, naming: Naming) -> str:
    """What becomes of the domain in this reading of the address."""
    kept = facts["domain"]
    return domain_decision(recipient, naming) if kept is None else f"{text(kept) or 'empty'}: kept"


def _userdeny(facts: Mapping[str, object]) -> list[Row]:
    found = [("file", _file(facts)), ("user", text(facts["userid"]))]
    service = text(facts["service"])
    if facts["pattern"] is None:
        return [*found, ("result", f"not denied for service {service}")]
    return [
        *found,
        ("pattern", f"{text(facts['pattern'])} matches service {service}"),
        ("message", text(facts["message"])),
        ("result", "denied"),
    ]


def _mailbox(facts: Mapping[str, object]) -> list[Row]:
    found = [("file", _file(facts))]
    mbtype = facts.get("type")
    if not isinstance(mbtype, int):
        return [*found, ("result", "no such record")]
    found.append(("type", mailboxtypes.words(mbtype)))
    if facts["server"]:
        found.append(("server", text(facts["server"])))
    if facts["partition"]:
        found.append(("partition", text(facts["partition"])))
    found.append(("ACL", _acl_text(facts["acl"])))
    if facts["uniqueid"]:
        found.append(("id", text(facts["uniqueid"])))
    result = "found" if facts["found"] else "found, but a mailbox of this type takes no mail"
    return [*found, ("result", result)]


def _mupdate(facts: Mapping[str, object]) -> list[Row]:
    problem = facts["problem"]
    done = "told to update the list, which is read again"
    return [("mupdate", done if problem is None else f"{text(problem)}; the list is read again")]


def _acl(facts: Mapping[str, object]) -> list[Row]:
    def right(name: str) -> str:
        return "granted" if facts[name] else "not granted"

    return [
        ("who", "anyone and anonymous, as nobody has logged in"),
        ("lookup (l)", right("lookup")),
        ("post (p)", right("post")),
    ]


def _backend(facts: Mapping[str, object]) -> list[Row]:
    server = ("server", text(facts["server"]))
    if "problem" in facts:
        return [server, ("problem", text(facts["problem"]))]
    return [server, ("answer", text(facts["answer"]))]


def _stale(facts: Mapping[str, object]) -> list[Row]:
    reason = f": {text(facts['reason'])}" if facts["reason"] else ""
    return [("answer", f"{text(facts['kind'])}{reason} (the last one known: no server answers)")]


def _quota(facts: Mapping[str, object]) -> list[Row]:
    found = [("file", _file(facts))]
    use = facts["use"]
    if not isinstance(use, QuotaRecord):
        return [*found, ("root", f"none for {text(facts['mailbox'])}: no limit")]
    refusal = facts["refusal"]
    return [
        *found,
        ("root", printable(use.root)),
        ("storage", used_of(use.storage_used, use.storage_limit, " bytes")),
        ("messages", used_of(use.messages_used, use.messages_limit)),
        *_other_resources(use),
        ("result", "not over quota" if refusal is None else f"{refusal}: {_WHEN[str(refusal)]}"),
    ]


def _other_resources(use: QuotaRecord) -> list[Row]:
    """What only delivery looks at, where it has a limit."""
    rows = []
    if use.annotations_limit is not None:
        used = used_of(use.annotations_used, use.annotations_limit, " bytes")
        rows.append(("annotations", used))
    if use.folders_limit is not None:
        rows.append(("folders", used_of(use.folders_used, use.folders_limit)))
    return rows


def _size(facts: Mapping[str, object]) -> list[Row]:
    fits = "fits" if facts["fits"] else "does not fit"
    return [("announced", f"{facts['size']:,} bytes"), ("result", f"{fits} into the free quota")]


def _fault(facts: Mapping[str, object]) -> list[Row]:
    return [("problem", text(facts["problem"]))]


def used_of(used: int, limit: int | None, unit: str = "") -> str:
    """`5 of 100 bytes (5.0 %)`, or that there is no limit."""
    if limit is None:
        return f"{used:,}{unit}, no limit"
    per_cent = f" ({100 * used / limit:.1f} %)" if limit > 0 else ""
    return f"{used:,} of {limit:,}{unit}{per_cent}"


def _file(facts: Mapping[str, object]) -> str:
    path, kind = str(facts["file"]), facts["format"]
    if kind is None:
        return f"{printable(path)} does not exist: nobody is denied"
    if kind == formats.QUOTALEGACY:
        place = printable(formats.location(path, formats.QUOTALEGACY))
        return f"{place} (quotalegacy: a file for each root)"
    return f"{printable(path)} ({kind})"


def _acl_text(acl: object) -> str:
    """`identifier rights, identifier rights`."""
    fields = acl.split(b"\t") if isinstance(acl, bytes) else []
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return printable(b", ".join(b" ".join(pair) for pair in pairs)) or "empty"


_ROWS: dict[str, Callable[[Mapping[str, object]], list[Row]]] = {
    "userdeny": _userdeny,
    "mailbox": _mailbox,
    "autocreate": deliverysteps.creation,
    "catch-all": deliverysteps.catch_all,
    "delivery": deliverysteps.folder,
    "kept": deliverysteps.kept,
    "mupdate": _mupdate,
    "acl": _acl,
    "backend": _backend,
    "stale": _stale,
    "quota": _quota,
    "size": _size,
    "fault": _fault,
}
