"""`serve`: the gateway itself, in the foreground.

It becomes the supervisor (gateway.supervisor.supervisor) and starts the core and,
where [milter] listens, the milter as processes of their own.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from gateway.config import loads, read
from gateway.config.choices import Library
from gateway.cyrus.pathwalk import absolute
from gateway.frontends.frontend import Process
from gateway.frontends.watched import NOTHING_KNOWN
from gateway.mta.configuration import ConfigurationFiles
from gateway.observability.logging import setup
from gateway.supervisor import processes
from gateway.supervisor.children import ChildSpec
from gateway.supervisor.supervisor import Plan, Supervisor
from gateway.wiring.upstreams import tls_contents
from gateway.worker import prerequisites

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from gateway.config import Settings

_log = logging.getLogger(__name__)

# For its operator; what it is made of says the text above.
_DESCRIPTION = """Serve socketmap, policy and milter in the foreground, as far as the configuration
turns them on, until told to stop (SIGTERM).  SIGHUP reads the configuration again.  Started as
root it opens the sockets and then becomes the configuration's user and group."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The subcommand's arguments."""
    parser = commands.add_parser(
        "serve", help="serve socketmap, policy and milter", description=_DESCRIPTION
    )
    parser.set_defaults(run=run)
    return parser


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop; the exit code."""
    path = absolute(options.config)
    entries: dict[str, int] = {}
    return Supervisor(lambda: make_plan(path, entries), os.environ, entries).run()


def make_plan(path: str, entries: Mapping[str, int] = NOTHING_KNOWN) -> Plan:
    """What the configuration at `path` asks for; raises ConfigurationErrors.

    One that cannot serve is refused here, before anything is stopped.
    `entries` is how many entries the files of [scope] have that are in force.
    """
    data = read(path)
    settings = loads(data, path)
    # Certificates and keys are read once: what is found good is what all children get.
    settings = dataclasses.replace(settings, tls_contents=tls_contents(settings))
    prerequisites.require(settings, entries)
    served = settings.listeners
    workers = settings.general.workers if _multiplied(settings) else 1
    children = [
        ChildSpec(
            kind.name,
            kind.argv,
            kind.listeners,
            count,
            data,
            settings.tls_contents,
            processes.SILENCE_LIMIT,
            session_timeout=0.0 if kind is processes.CORE else settings.milter.session_timeout,
            clients=kind.clients,
        )
        for kind, count in ((processes.CORE, workers), _milter(settings))
        if served.keys() & set(kind.listeners)
    ]
    return Plan(
        tuple(children),
        served,
        settings.general.graceful_timeout,
        settings.general.user,
        settings.general.group,
        partial(_apply, settings),
        path,
        *_changes(settings),
    )


def _multiplied(settings: Settings) -> bool:
    """Whether `workers` has anything to multiply: the admin page is served once."""
    return any(row.front_end.process is Process.CORE for row in settings.serving)


def _changes(settings: Settings) -> tuple[Callable[[], tuple[str, object] | None], ...]:
    """What tells of changes of the mail server's configuration, where it is read."""
    folder = settings.scope.postfix
    return (ConfigurationFiles(folder).change,) if folder else ()


def _apply(settings: Settings) -> None:
    """The configuration comes into force."""
    setup.configure(settings.logging)
    if settings.milter.listen:
        _log.info("the milter speaks its protocol by way of %s", settings.milter.library.value)


def _milter(settings: Settings) -> tuple[processes.ProcessKind, int]:
    """What serves the milter, and in how many processes: libmilter has one socket in each."""
    if settings.milter.library is Library.BUILTIN:
        return processes.MILTER, 1
    return processes.PYMILTER, len(settings.milter.listen)
