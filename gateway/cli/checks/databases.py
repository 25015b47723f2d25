"""Cyrus' databases: can the gateway's user read them, and do they make sense?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks import access
from gateway.cli.checks.finding import error, ok, warning
from gateway.cyrus import olddefaults
from gateway.cyrus.db import formats
from gateway.errors import DatabaseMissing, StoreError
from gateway.observability.metrics.databases import NO_KEY
from gateway.supervisor import privileges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.cyrus.db.base import Database
    from gateway.cyrus.store import CyrusStore
    from gateway.supervisor.privileges import Identity

_SUBJECT = "databases"
# The user that owns the databases unless Cyrus was built for another one.
_CYRUS = "cyrus"


def check(settings: Settings, store: CyrusStore) -> Iterator[Finding]:
    """Everything about the databases that imapd.conf names."""
    conf = store.conf
    # name, path, format, reader, whether it may be missing
    rows = (
        ("mailbox list", store.mailboxes.path, conf.mboxlist_db, store.mailboxes.database, False),
        ("quota roots", store.quotas.path, conf.quota_db, store.quotas.database, False),
        ("userdeny", store.denials.path, conf.userdeny_db, store.denials.database, True),
    )
    reader, reason = _reader(settings)
    if reason is not None:
        yield reason
    barred: dict[str, str] = {}
    wanted = [path for _, path, kind, _, _ in rows for path in _samples(path, kind)]
    try:
        barred = access.problems(wanted, reader)
    except privileges.PrivilegeError as fault:
        yield error(_SUBJECT, str(fault), "run check-config as root, or as the gateway's user")
    user = settings.general.user if reader is not None else access.own_user()
    for name, path, kind, database, optional in rows:
        samples = _samples(path, kind)
        denied = [each for each in samples if barred.get(each, access.MISSING) != access.MISSING]
        if denied:
            yield error(
                _SUBJECT,
                f"{name}: {denied[0]}: user {user} {barred[denied[0]]}",
                _advice(user, denied[0], barred[denied[0]]),
            )
            continue
        try:
            database.get(NO_KEY)
        except DatabaseMissing:
            if optional:
                yield ok(_SUBJECT, f"{name}: {path} does not exist: nobody is denied")
            else:
                fix = "start Cyrus once, or correct configdirectory and the paths in imapd.conf"
                yield error(_SUBJECT, f"{name}: {path} does not exist", fix)
            continue
        except StoreError as fault:
            yield error(_SUBJECT, f"{name}: {fault}", "every look-up is answered temporarily")
            continue
        if database is store.mailboxes.database:
            yield from _filled(store, settings)
        if kind == formats.SQL and store.server is not None:
            yield ok(_SUBJECT, f"{name}: {path} answers")
            continue
        yield from _sound(name, database, kind, user)
    yield from _older(store)


def _advice(user: str, path: str, reason: str) -> str:
    if user == _CYRUS and reason.startswith("may not"):
        return f"Cyrus itself cannot read it either: chown {_CYRUS}, of what is named in brackets"
    if not reason.startswith("may not"):
        return f"repair {path}, or correct imapd.conf"
    return (
        f"run the gateway as user {_CYRUS} (user in gateway.toml), or give {user} the right with "
        "its group or setfacl"
    )


def _filled(store: CyrusStore, settings: Settings) -> Iterator[Finding]:
    """Whether the list has any record; without one no recipient is refused as unknown."""
    try:
        store.mailboxes.has_newer_keys()
    except StoreError:
        return  # told with the next look-up
    if store.mailboxes.is_empty and not settings.cyrus.allow_empty_list:
        yield error(
            _SUBJECT,
            f"mailbox list: {store.mailboxes.path} has no mailbox at all; every recipient is "
            "answered temporarily",
            "restore it; where there really is no mailbox, set allow_empty_list = true in [cyrus]",
        )


def _older(store: CyrusStore) -> Iterator[Finding]:
    """What an older list needs and imapd.conf does not say."""
    try:
        if store.mailboxes.has_newer_keys():
            return
    except StoreError:
        return  # told above
    text = olddefaults.warning(store.mailboxes.path, store.conf)
    if text is not None:
        yield warning(_SUBJECT, text, olddefaults.MEND)


def _sound(name: str, database: Database, configured: str, user: str) -> Iterator[Finding]:
    path, found = database.path, database.format
    try:
        records = database.count()
    except StoreError as fault:
        yield error(_SUBJECT, f"{name}: {fault}", "let Cyrus recover it, or restore it")
        return
    many = "" if records is None else f", {records:,} records"
    place = formats.location(path, configured)
    yield ok(_SUBJECT, f"{name}: {place} ({found}{many}) can be read by user {user}")
    if found != configured and formats.SQL not in (found, configured):
        yield warning(
            _SUBJECT,
            f"{name}: {path} is {found}, imapd.conf says {configured}",
            "correct imapd.conf; until then it is read as what it is",
        )


def _reader(settings: Settings) -> tuple[Identity | None, Finding | None]:
    """As which user reading is tried: the gateway's user if we are root, else ourselves."""
    user = settings.general.user
    if not privileges.is_root():
        own = access.own_user()
        if user in ("", own):
            return None, None
        what = f"access was tried as user {own} and not as {user}"
        return None, warning(_SUBJECT, what, "run check-config as root for the full result")
    try:
        return privileges.resolve(user, settings.general.group) if user else None, None
    except privileges.PrivilegeError:  # gateway.cli.checks.asuser tells
        return None, None


def _samples(path: str, configured: str) -> list[str]:
    """What must be readable: the file, or for quotalegacy the folders and a file in each."""
    place = formats.location(path, configured)
    if configured != formats.QUOTALEGACY:
        return [place]
    found = [place]
    for top in ("quota", "domain"):
        for folder, _folders, files in os.walk(os.path.join(place, top)):
            found.append(folder)
            found += [os.path.join(folder, name) for name in files[:1]]
    return found
