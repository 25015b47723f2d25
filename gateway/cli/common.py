"""What several commands need: the settings, the engine, and arguments as bytes."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.cli.failures import ArgumentsError
from gateway.cli.output import message
from gateway.config import load
from gateway.cyrus.pathwalk import absolute
from gateway.frontends.inquiry import Inquiry
from gateway.frontends.scope import client_address
from gateway.protocols.address import bare
from gateway.wiring.assembly import make_store
from gateway.wiring.engines import make_engines
from gateway.wiring.upstreams import SPARED

if TYPE_CHECKING:
    import argparse

    from gateway.config import Settings
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.decider import Engine


# Digits of a size: those of 2^64, as in the policy protocol.
_MAX_DIGITS = 20


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
    return Inquiry(
        recipient=bare(os.fsencode(recipient)),
        size=_size(options.size),
        client=_client(options.client),
        sender=None if options.sender is None else bare(os.fsencode(options.sender)),
        mailer=os.fsencode(options.mailer),
    )


def _client(argument: str) -> bytes:
    """The value of --client; raises ArgumentsError for what is not an IP address."""
    data = os.fsencode(argument)
    if data and client_address(data) is None:
        raise ArgumentsError(
            f"--client {argument}: this is not an IP address, write for example 192.0.2.1"
        )
    return data


def _size(argument: str | None) -> int | None:
    """The value of --size in bytes; raises ArgumentsError for what is not a number."""
    if argument is None:
        return None
    # More digits than a mail can have bytes would be slow to convert.
    if not (argument.isascii() and argument.isdigit() and len(argument) <= _MAX_DIGITS):
        raise ArgumentsError(f"--size {argument}: write a number of bytes")
    return int(argument)
