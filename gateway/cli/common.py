"""What several commands need: the settings, the engine, and arguments as bytes."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.cli.failures import ArgumentsError
from gateway.cli.output import message
from gateway.config import load
from gateway.cyrus.pathwalk import absolute
from gateway.frontends.inquiry import BadInquiry, typed
from gateway.wiring.assembly import make_store
from gateway.wiring.engines import make_engines
from gateway.wiring.upstreams import SPARED

if TYPE_CHECKING:
    import argparse

    from gateway.config import Settings
    from gateway.cyrus.store import CyrusStore
    from gateway.frontends.inquiry import Inquiry
    from gateway.verification.decider import Engine


# The name of a file that is standard input.
STANDARD_INPUT = "-"


class _ToTerminal(logging.Handler):
    """Warnings of the parts below (odd lines, other formats) as messages."""

    def emit(self, record: logging.LogRecord) -> None:
        message(f"warning: {record.getMessage()}")


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings of the file that -c names; raises ConfigurationErrors."""
    warn_on_terminal()
    return load(absolute(options.config))


def engine_of(settings: Settings) -> Engine:
    """The engine that the settings ask for; raises ConfigurationError."""
    return make_engines(settings, creators=SPARED).pool.borrow()


def store_of(settings: Settings) -> CyrusStore:
    """The Cyrus store that the settings name; raises ArgumentsError where there is none."""
    if settings.general.store:
        servers = ", ".join(map(str, settings.general.store))
        raise ArgumentsError(f"the mailboxes are on other servers ({servers}); ask on that machine")
    return make_store(settings)


def warn_on_terminal() -> None:
    """Show what would go to the log on standard error, from warnings upwards."""
    root = logging.getLogger("gateway")
    if not root.handlers:
        handler = _ToTerminal()
        handler.setLevel(logging.WARNING)
        root.addHandler(handler)
        root.propagate = False


def add_mail(parser: argparse.ArgumentParser) -> None:
    """The arguments that say of which mail the recipient is."""
    parser.add_argument("--size", metavar="N", help="the announced size of the mail in bytes")
    parser.add_argument("--client", metavar="IP", default="", help="the SMTP client's address")
    parser.add_argument(
        "--sender", metavar="S", help="the address of MAIL FROM; <> is the null sender"
    )
    parser.add_argument(
        "--mailer", metavar="NAME", default="", help="the MTA's mailer or transport, for the milter"
    )


def inquiry(options: argparse.Namespace, recipient: str) -> Inquiry:
    """What is asked about a recipient of the mail that `add_mail` takes; raises ArgumentsError."""
    try:
        return typed(
            os.fsencode(recipient),
            size=None if options.size is None else os.fsencode(options.size),
            client=os.fsencode(options.client),
            sender=None if options.sender is None else os.fsencode(options.sender),
            mailer=os.fsencode(options.mailer),
        )
    except BadInquiry as error:
        raise ArgumentsError(f"--{error}") from None
