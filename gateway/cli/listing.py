"""`list`: what the store holds, one line each, and how many.

--over-quota lists the quota roots that are over their quota, so that mail to
them is refused; --denied the users that userdeny blocks for our service;
--mailboxes every record of the mailbox list.  On a terminal a bar on standard
error shows the progress.  A record that makes no sense is reported on standard
error and counted; the exit code is then 1.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.common import settings_of, store_of
from gateway.cli.progress import Progress
from gateway.cyrus import mailboxtypes
from gateway.errors import DatabaseMissing, RecordDamaged

if TYPE_CHECKING:
    import argparse

    from gateway.cyrus.db.base import Database
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.quota import QuotaRecord
    from gateway.cyrus.store import CyrusStore
    from gateway.cyrus.userdeny import Denial

SOME_DAMAGED = 1

# Widths of the columns before the last one, which may be of any length.  A line
# is printed as soon as it is known; widths that fit all lines are not known then.
_NUMBER, _SHARE, _TYPE, _PLACE, _USER = 15, 8, 22, 20, 28


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """One record: what to print, or None where only `counted` matters.

    `counted` is what it adds to the counts.
    """

    line: str | None
    json: dict[str, object]
    counted: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list: where its records are, how they read, and its heading."""

    noun: str
    heading: str
    database: Callable[[CyrusStore], Database]
    items: Callable[[CyrusStore], Iterator[ListedRecord | RecordDamaged]]


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    kinds = parser.add_mutually_exclusive_group(required=True)
    for name, listing in LISTINGS.items():
        kinds.add_argument(
            f"--{name}",
            dest="listing",
            action="store_const",
            const=name,
            help=f"list {listing.noun}",
        )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line, the last one the counts"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List; the exit code tells whether every record made sense."""
    listing = LISTINGS[options.listing]
    store = store_of(settings_of(options))
    counts: Counter[str] = Counter()
    damaged = 0
    headed = options.json
    with Progress(listing.noun, _total(listing, store), "records") as progress:
        for item in listing.items(store):
            progress.advance()
            if isinstance(item, RecordDamaged):
                damaged += 1
                progress.clear()
                output.message(str(item))
                continue
            counts[item.counted] += 1
            if item.line is None:
                continue
            progress.make_room()
            if not headed:
                output.emit(listing.heading)
                headed = True
            output.emit(output.json_line(item.json) if options.json else item.line)
    if options.json:
        output.emit(output.json_line({"counts": dict(counts), "damaged": damaged}))
    else:
        if headed:
            output.emit()
        output.emit(_summary(counts, damaged))
    return SOME_DAMAGED if damaged else os.EX_OK


def _total(listing: Listing, store: CyrusStore) -> int | None:
    try:
        return listing.database(store).count()
    except DatabaseMissing:
        return None


def _summary(counts: Counter[str], damaged: int) -> str:
    parts = [f"{word}: {output.grouped(number)}" for word, number in counts.most_common()]
    if damaged:
        parts.append(f"damaged records: {output.grouped(damaged)}")
    return "; ".join(parts) or "no records"


# --- quota roots over quota ---------------------------------------------------------------


def _over_quota(store: CyrusStore) -> Iterator[ListedRecord | RecordDamaged]:
    for record in store.quotas.entries():
        yield record if isinstance(record, RecordDamaged) else _quota_item(record)


def _quota_item(record: QuotaRecord) -> ListedRecord:
    limit = record.storage_limit
    json: dict[str, object] = {
        "root": output.text(record.root),
        "storage_used": record.storage_used,
        "storage_limit": limit,
        "messages_used": record.messages_used,
        "messages_limit": record.messages_limit,
    }
    if not record.exceeded():
        return ListedRecord(None, json, "quota roots not over quota")
    used, most = output.grouped(record.storage_used), _limit(limit)
    per_cent = "-" if limit is None else output.share(record.storage_used, limit)
    messages = f"{output.grouped(record.messages_used)} of {_limit(record.messages_limit)}"
    line = _quota_line(used, most, per_cent, messages, output.show(record.root))
    return ListedRecord(line, json, "quota roots over quota")


def _quota_line(used: str, limit: str, per_cent: str, messages: str, root: str) -> str:
    return (
        f"{used:>{_NUMBER}}  {limit:>{_NUMBER}}  {per_cent:>{_SHARE}}  {messages:>{_PLACE}}  {root}"
    )


def _limit(limit: int | None) -> str:
    return "no limit" if limit is None else output.grouped(limit)


# --- denied users -------------------------------------------------------------------------


def _denied(store: CyrusStore) -> Iterator[ListedRecord]:
    service = store.service
    for userid, denial in store.denials.entries(service):
        yield _denied_item(userid, denial, output.show(service))


def _denied_item(userid: bytes, denial: Denial | None, service: str) -> ListedRecord:
    json: dict[str, object] = {"userid": output.text(userid)}
    if denial is None:
        return ListedRecord(None, json, f"users with an entry that does not deny {service}")
    json |= {"pattern": output.text(denial.pattern), "message": output.text(denial.message)}
    line = (
        f"{output.show(userid):<{_USER}}  {output.show(denial.pattern):<{_PLACE}}  "
        f"{output.show(denial.message)}"
    )
    return ListedRecord(line, json, f"users denied for {service}")


# --- mailboxes ----------------------------------------------------------------------------


def _mailboxes(store: CyrusStore) -> Iterator[ListedRecord | RecordDamaged]:
    for entry in store.mailboxes.entries():
        yield entry if isinstance(entry, RecordDamaged) else _mailbox_item(entry)


def _mailbox_item(entry: MailboxEntry) -> ListedRecord:
    words = mailboxtypes.words(entry.mbtype)
    place = entry.server or entry.partition
    json: dict[str, object] = {
        "mailbox": output.text(entry.name),
        "type": words,
        "partition": output.text(entry.partition) or None,
        "server": output.text(entry.server) or None,
        "acl": output.text(entry.acl),
    }
    line = f"{words:<{_TYPE}}  {output.show(place):<{_PLACE}}  {output.show(entry.name)}"
    return ListedRecord(line, json, words)


LISTINGS: dict[str, Listing] = {
    "over-quota": Listing(
        "quota roots over quota",
        _quota_line("used", "limit", "", "messages", "quota root"),
        lambda store: store.quotas.database,
        _over_quota,
    ),
    "denied": Listing(
        "denied users",
        f"{'user':<{_USER}}  {'pattern':<{_PLACE}}  message",
        lambda store: store.denials.database,
        _denied,
    ),
    "mailboxes": Listing(
        "mailboxes",
        f"{'type':<{_TYPE}}  {'partition or server':<{_PLACE}}  mailbox",
        lambda store: store.mailboxes.database,
        _mailboxes,
    ),
}
