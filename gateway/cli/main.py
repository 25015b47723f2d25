"""smmapd-gateway: the command line.

One subcommand a module; each adds its own arguments and gives an exit code
from sysexits.h (gateway.cli.failures).  A fault of the user's or the
administrator's is one message on standard error; a traceback is shown only
with --debug.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from gateway.cli import (
    ask,
    check,
    check_config,
    colour,
    explain,
    listing,
    print_completion,
    print_config,
    replay,
    serve,
)
from gateway.cli.failures import BROKEN_PIPE, INTERRUPTED, exit_code
from gateway.cli.output import message, readable
from gateway.errors import GatewayError
from gateway.observability import version

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CONFIG = "/etc/smmapd/gateway.toml"

# Modules with `add(subparsers)`; the parser they make has `run` as default.
COMMANDS = (
    serve,
    explain,
    check,
    ask,
    listing,
    replay,
    check_config,
    print_config,
    print_completion,
)


class CommandLine(argparse.ArgumentParser):
    """argparse's parser, but for the exit code of a wrong command line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with EX_USAGE."""
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {readable(message)}\n")


class CommandParser(CommandLine):
    """The parser of one subcommand: what it does not know it tells with its own usage."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but that nothing is left over for the parser above."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def parser() -> argparse.ArgumentParser:
    """The whole command line; the manual page and the shell completion are checked against it."""
    top = CommandLine(
        prog="smmapd-gateway",
        description="Verifies recipients of a Cyrus IMAP server for Postfix and Sendmail.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    _add_common(top, config=DEFAULT_CONFIG, color=colour.AUTO, debug=False)
    commands = top.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    for command in COMMANDS:
        # What follows the command's name overrides what comes before it.
        _add_common(
            command.add(commands),
            config=argparse.SUPPRESS,
            color=argparse.SUPPRESS,
            debug=argparse.SUPPRESS,
        )
    # print-completion describes them all.
    return top


def _add_common(
    parser: argparse.ArgumentParser, *, config: str, color: str, debug: bool | str
) -> None:
    """The options that every command takes, before or behind its name, with their defaults."""
    parser.add_argument(
        "-c",
        "--config",
        default=config,
        metavar="FILE",
        help=f"the configuration (default: {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--color",
        default=color,
        metavar="WHEN",
        choices=colour.WHEN,
        help=f"{', '.join(colour.WHEN)} (default: auto, on a terminal unless NO_COLOR is set)",
    )
    parser.add_argument("--debug", action="store_true", default=debug, help="show tracebacks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code."""
    closed = sys.stdout is None
    if closed:
        # Python gives no file to a descriptor that was closed at its start.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    _write_utf8()
    options = argparse.Namespace(debug=False)
    try:
        try:
            options = parser().parse_args(arguments)
        except SystemExit:
            # Help or the version has been printed.
            sys.stdout.flush()
            raise
        code: int = options.run(options)
        sys.stdout.flush()
        if closed and options.run is not serve.run:
            message("standard output is closed, so nobody sees the result")
            return os.EX_IOERR
    except BrokenPipeError:
        # The reader of our output has enough.
        _give_up_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except GatewayError as error:
        if options.debug:
            raise
        for line in str(error).splitlines():
            message(line)
        return exit_code(error)
    except OSError as error:
        if options.debug:
            raise
        message(str(error))
        _give_up_output()
        return os.EX_IOERR
    except Exception as error:
        # The boundary to the person at the terminal: what nobody expected is
        # a defect of ours, which a traceback explains to developers only.
        if options.debug:
            raise
        message(f"internal error: {error!r}; please report what --debug shows")
        return os.EX_SOFTWARE
    return code


def _write_utf8() -> None:
    """Whatever the locale: addresses and JSON are UTF-8, and scripts get the same bytes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _give_up_output() -> None:
    """What cannot be written goes nowhere, or the interpreter would complain of it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
