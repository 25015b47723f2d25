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
from gateway.cyrus.pathwalk import absolute
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
    from collections.abc import Callable, Mapping, Sequence

    from gateway.config import Settings
    from gateway.supervisor.processes import Wanted

_log = logging.getLogger(__name__)

# For its operator; what it is made of says the text above.
_DESCRIPTION = """Serve socketmap, policy and milter in the foreground, as far as the configuration
turns them on, until told to stop (SIGTERM).  SIGHUP reads the configuration again.  Started as
root it opens the sockets and then becomes the configuration's user and group."""


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = _DESCRIPTION
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop; the exit code."""
    prerequisites.require_system()
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
    wanted = processes.wanted(settings)
    children = tuple(
        ChildSpec(
            each.kind.name,
            each.kind.argv,
            each.kind.listeners,
            each.count,
            data,
            settings.tls_contents,
            processes.SILENCE_LIMIT,
            session_timeout=each.session_timeout,
            clients=each.kind.clients,
        )
        for each in wanted
    )
    return Plan(
        children,
        settings.listeners,
        settings.general.graceful_timeout,
        settings.general.user,
        settings.general.group,
        partial(_apply, settings, wanted),
        path,
        settings.places,
        *_changes(settings),
    )


def _changes(settings: Settings) -> tuple[Callable[[], tuple[str, object] | None], ...]:
    """What tells of changes of the mail server's configuration, where it is read."""
    folder = settings.scope.postfix
    return (ConfigurationFiles(folder).change,) if folder else ()


def _apply(settings: Settings, wanted: Sequence[Wanted]) -> None:
    """The configuration comes into force."""
    setup.configure(settings.logging)
    for kind in (each.kind for each in wanted):
        if kind.library is not None:
            _log.info("the %s speaks its protocol by way of %s", kind.name, kind.library.value)
