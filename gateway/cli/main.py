"""smmapd-gateway: the command line.

One subcommand a module; each adds its own arguments and gives an exit code
from sysexits.h.  A fault of the user's or the administrator's is one message
on standard error; a traceback is shown only with --debug.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from gateway.cli import serve
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CONFIG = "/etc/smmapd/gateway.toml"

# Modules with `add(subparsers)`; the parser they make has `run` as default.
COMMANDS = (serve,)


def parser() -> argparse.ArgumentParser:
    """The whole command line; the manual page and the shell completion are checked against it."""
    top = argparse.ArgumentParser(
        prog="smmapd-gateway",
        description="Verifies recipients of a Cyrus IMAP server for Postfix and Sendmail.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = command.add(commands)
        added.add_argument(
            "-c",
            "--config",
            default=DEFAULT_CONFIG,
            metavar="FILE",
            help=f"the configuration (default: {DEFAULT_CONFIG})",
        )
    return top


def version() -> str:
    """The installed version; of a source tree that is not installed, unknown."""
    try:
        return metadata.version("smmapd")
    except metadata.PackageNotFoundError:
        return "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except GatewayError as error:
        if options.debug:
            raise
        print(f"smmapd-gateway: {error}", file=sys.stderr)
        return os.EX_CONFIG
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
