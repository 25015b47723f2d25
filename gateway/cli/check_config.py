"""`check-config`: is the configuration sound, and does the rest of the system fit it?

First gateway.toml and imapd.conf are checked as a start would check them.  Then it
checks whether the gateway's user can read every database, whether the folders of
the sockets exist and are safe, whether Postfix reaches them and agrees on which
domains are ours, whether alias files exist, and whether cyrus.conf's
smmapd entry fits.  Every finding says how to fix it.  The exit code is 0
if there is no error, and 78 otherwise.  Nothing is changed.

With --start it checks only what would keep the gateway from starting, as the
user that it becomes; with --reload also what that user could not do, for
ExecReload= of a service.
"""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.checks import (
    access,
    asuser,
    authority,
    databases,
    master,
    otherservers,
    postfixsettings,
    scopefiles,
    sendmail,
    serving,
    sockets,
    unit,
)
from gateway.cli.checks.finding import Level, error, ok
from gateway.cli.colour import Palette, Style
from gateway.cli.common import settings_of
from gateway.cli.serve import make_plan
from gateway.cyrus import imapdconf
from gateway.errors import ConfigurationError, ConfigurationErrors
from gateway.wiring.assembly import cyrus_conf, delivery_service, make_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument(
        "--postfix", metavar="DIR", help="the folder of Postfix' main.cf (default: Postfix' own)"
    )
    parser.add_argument(
        "--sendmail", metavar="FILE", help=f"Sendmail's sendmail.cf (default: {sendmail.DEFAULT})"
    )
    parser.add_argument(
        "--cyrus-conf",
        metavar="FILE",
        help="master's cyrus.conf (default: beside imapd.conf)",
    )
    parser.add_argument(
        "--start",
        action="store_true",
        help="check only what a start would refuse, as the gateway's user",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="the same for a running gateway, which is no longer root: for ExecReload=",
    )
    parser.add_argument(
        "--ask",
        action="store_true",
        help="ask LMTP servers of `store` about a name that no mailbox can have, to see whether "
        "they create mailboxes for the recipients that they are asked about (autocreate_post)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="leave out what is ok")
    parser.add_argument("--json", action="store_true", help="print one JSON object a finding")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check; the exit code tells whether there was an error."""
    palette = Palette(options.color)
    found = []
    told: set[str] = set()
    for finding in _findings(options):
        # What would stop a start is told by the check of what it is wrong with, too.
        if finding.level is not Level.OK and finding.what in told:
            continue
        told.add(finding.what)
        found.append(finding)
        if options.quiet and finding.level is Level.OK:
            continue
        for line in _json(finding) if options.json else _text(finding, palette):
            output.emit(line)
    errors = sum(finding.level is Level.ERROR for finding in found)
    worth_a_sum = not options.quiet or any(each.level is not Level.OK for each in found)
    if not options.json and worth_a_sum:
        warnings = sum(finding.level is Level.WARNING for finding in found)
        output.emit()
        output.emit(f"{output.plural(errors, 'error')}, {output.plural(warnings, 'warning')}")
    return os.EX_CONFIG if errors else os.EX_OK


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        settings = settings_of(options)
    except ConfigurationErrors as faults:
        # Nothing else can be looked at before the file is understood.
        action = "correct it; until then a start or a reload is refused"
        yield from (error("settings", str(each), action) for each in faults.errors)
        return
    yield ok("settings", settings.file)
    about_user = list(asuser.check(settings))
    yield from about_user
    if not any(each.level is Level.ERROR for each in about_user):
        yield from asuser.seen_by(
            asuser.identity_of(settings),
            lambda: chain(
                _start(settings.file), sockets.unopened(settings) if options.reload else ()
            ),
        )
    if options.start or options.reload:
        return
    yield from scopefiles.check(settings)
    yield from (
        otherservers.check(settings, ask=options.ask)
        if settings.general.store
        else _cyrus(settings, options.cyrus_conf or cyrus_conf(settings))
    )
    yield from sockets.check(settings)
    yield from serving.check(settings)
    yield from unit.check(settings, _databases(settings))
    yield from postfixsettings.check(settings, options.postfix)
    if options.sendmail or os.path.exists(sendmail.DEFAULT):
        yield from sendmail.check(settings, options.sendmail or sendmail.DEFAULT)
    if settings.general.store:
        return
    yield from master.check(settings, options.cyrus_conf or cyrus_conf(settings))


def _databases(settings: Settings) -> list[str]:
    """The paths that imapd.conf names; none where it cannot be read: another check says so."""
    if settings.general.store:
        return []
    try:
        conf = imapdconf.load(settings.cyrus.imapd_conf, settings.cyrus.service)
    except ConfigurationError:
        return []
    return [
        conf.configdirectory, conf.mboxlist_db_path, conf.quota_db_path, conf.userdeny_db_path
    ]  # fmt: skip


def _start(path: str) -> Iterator[Finding]:
    """What a start or a reload would refuse, each mistake of it."""
    try:
        make_plan(path)
    except ConfigurationErrors as faults:
        fix = "correct it; until then a start fails, and a reload changes nothing"
        yield from (error("start", str(each), fix) for each in faults.errors)
    except ConfigurationError as fault:
        yield error("start", str(fault), "correct it")
    else:
        yield ok("start", f"{path} is what a start or a reload takes, as user {access.own_user()}")


def _cyrus(settings: Settings, master_conf: str) -> Iterator[Finding]:
    path = settings.cyrus.imapd_conf
    services = (settings.cyrus.service, delivery_service(settings))
    # What is wrong for both is told once.
    faults = dict.fromkeys(
        str(each) for service in services for each in imapdconf.problems(path, service)
    )
    yield from (
        error("imapd.conf", each, "correct it: Cyrus reads the same file") for each in faults
    )
    if faults:
        return
    try:
        store = make_store(settings)
    except ConfigurationError as fault:
        yield error("imapd.conf", str(fault), "correct it: Cyrus reads the same file")
        return
    yield ok("imapd.conf", settings.cyrus.imapd_conf)
    yield from databases.check(settings, store)
    yield from authority.check(settings, store, master_conf)


_STYLES = {Level.OK: Style.GOOD, Level.WARNING: Style.DOUBTFUL, Level.ERROR: Style.BAD}


def _text(finding: Finding, palette: Palette) -> Iterator[str]:
    level = palette.paint(f"{finding.level.value:<8}", _STYLES[finding.level])
    yield f"{level} {finding.subject:<10} {output.show(finding.what)}"
    if finding.fix:
        yield f"{'':<8} {'':<10} -> {output.show(finding.fix)}"


def _json(finding: Finding) -> Iterator[str]:
    yield output.json_line(
        {
            "level": finding.level.value,
            "subject": finding.subject,
            "what": finding.what,
            "mend": finding.fix or None,
        }
    )
