"""The first steps of the supervisor, in their order: open the sockets, then leave root."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping

from gateway.errors import ConfigurationError, ConfigurationErrors
from gateway.observability.logging import setup
from gateway.supervisor import activation, privileges
from gateway.supervisor.generation import Plan
from gateway.supervisor.listeners import Change, Listeners
from gateway.supervisor.unixsockets import TakenError

# A supervisor that was killed leaves children that leave by themselves, but have its sockets until
# then; what is there longer is another instance.
PREDECESSOR_SECONDS = 2.0
_PAUSE = 0.02

_log = logging.getLogger(__name__)


def open_and_drop(plan: Plan, environ: MutableMapping[str, str]) -> tuple[Listeners, Change]:
    """The sockets of the plan, opened as the user that we are, before we become its user.

    Names are resolved first, so that nothing is opened for a user that does
    not exist.  Raises ConfigurationError; sockets that are open by then are
    closed and their files removed.
    """
    identity = None
    if privileges.is_root() and plan.user:
        identity = privileges.resolve(plan.user, plan.group)
    listeners = Listeners(activation.take(environ), identity)
    change = _change(listeners, plan)
    listeners.commit(change)
    if identity is not None:
        try:
            privileges.drop(identity)
        except privileges.PrivilegeError:
            listeners.close()
            raise
    return listeners, change


def _change(listeners: Listeners, plan: Plan) -> Change:
    """The plan's sockets; one that is taken may be free in a moment."""
    until = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            return listeners.change(plan.listeners, plan.file, plan.places)
        except ConfigurationErrors as error:
            taken = all(isinstance(each, TakenError) for each in error.errors)
            if not taken or time.monotonic() >= until:
                raise
        # No client is served yet, and nothing tells when another process lets go of a socket.
        _pause()


def _pause() -> None:
    time.sleep(_PAUSE)


def warn(listeners: Listeners) -> None:
    """Log what works and is not wise; the log must be there."""
    if privileges.is_root():
        _log.warning("runs as root; set user to one that can read the databases of Cyrus")
    for warning in listeners.warnings():
        _log.warning("%s", warning)
    for name in listeners.unused():
        _log.warning("systemd passed a socket named %s, and no listen has fd:%s", name, name)


def complain(error: ConfigurationError) -> None:
    """One log line for each problem, whatever has been logged before."""
    for line in str(error).splitlines():
        setup.answer(_log, logging.ERROR, line)
