"""smmapd-gateway: the command line.

One subcommand a module, which is imported when its command is given; each adds its own
arguments and gives an exit code from sysexits.h (gateway.cli.failures).  A fault of the
user's or the administrator's is one message on standard error; a traceback is shown only
with --debug.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from gateway.cli import colour
from gateway.cli.failures import BROKEN_PIPE, INTERRUPTED, exit_code, system_fault
from gateway.cli.output import message, readable
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

DEFAULT_CONFIG = "/etc/smmapd/gateway.toml"

# The module and the one line of each command.  A module has `add`, which gives a parser its
# arguments and its `run`.
COMMANDS = {
    "serve": ("gateway.cli.serve", "serve socketmap, policy and milter"),
    "explain": ("gateway.cli.explain", "show what happens to one recipient, and why"),
    "check": ("gateway.cli.check", "judge recipients, one line each"),
    "ask": ("gateway.cli.ask", "ask the running gateway as a mail server does"),
    "list": ("gateway.cli.listing", "list quota roots over quota, denied users, or mailboxes"),
    "replay": ("gateway.cli.replay", "judge the recipients of a mail log, and compare"),
    "check-config": (
        "gateway.cli.check_config",
        "check the configuration, and the system around it",
    ),
    "print-config": (
        "gateway.cli.print_config",
        "print what another program's configuration needs, or the settings in force",
    ),
    "print-completion": ("gateway.cli.print_completion", "print completion for a shell"),
}


class CommandLine(argparse.ArgumentParser):
    """argparse's parser, but for the exit code of a wrong command line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with EX_USAGE."""
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {readable(message)}\n")


class CommandParser(CommandLine):
    """The parser of one subcommand: what it does not know it tells with its own usage.

    It has no arguments before it parses: other commands' modules are not imported.
    """

    module = ""

    def load(self) -> None:
        """Import the command's module, for its arguments."""
        if self.module:
            importlib.import_module(self.module).add(self)
            # What follows the command's name overrides what comes before it.
            _add_common(
                self, config=argparse.SUPPRESS, color=argparse.SUPPRESS, debug=argparse.SUPPRESS
            )
            self.module = ""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but that nothing is left over for the parser above."""
        self.load()
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


class _Version(argparse.Action):
    """`--version`; what knows the version takes longer to import than all the rest here."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        _values: object,
        _option: str | None = None,
    ) -> NoReturn:
        from gateway.observability import version  # noqa: PLC0415

        print(f"{parser.prog} {version()}")
        parser.exit()


def parser(*, whole: bool = True) -> argparse.ArgumentParser:
    """The command line; the manual page and the shell completion are checked against the whole.

    What is not `whole` lacks the arguments of the commands until it parses theirs.
    """
    top = CommandLine(
        prog="smmapd-gateway",
        description="Verifies recipients of a Cyrus IMAP server for Postfix and Sendmail.",
        allow_abbrev=False,
    )
    top.add_argument(
        "--version", action=_Version, nargs=0, help="show program's version number and exit"
    )
    _add_common(top, config=DEFAULT_CONFIG, color=colour.AUTO, debug=False)
    commands = top.add_subparsers(
        title="commands",
        metavar="COMMAND",
        dest="command",
        required=True,
        parser_class=CommandParser,
    )
    for name, (module, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line)
        command.module = module
        if whole:
            command.load()
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
    _prepare_streams()
    options = argparse.Namespace(debug=False)
    try:
        try:
            options = parser(whole=False).parse_args(arguments)
        except SystemExit:
            # Help or the version has been printed.
            sys.stdout.flush()
            raise
        code: int = options.run(options)
        sys.stdout.flush()
        if closed and options.command != "serve":
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
        message(system_fault(error))
        _give_up_output()
        return os.EX_IOERR
    except Exception as error:
        # The boundary to the person at the terminal: what is unexpected is
        # a defect of ours, which a traceback explains to developers only.
        if options.debug:
            raise
        message(f"internal error: {error!r}; please report what --debug shows")
        return os.EX_SOFTWARE
    return code


class _StandardError(io.FileIO):
    """Standard error, in which a message that cannot be written is lost.

    The exit code must not be another one for that: a service manager starts again what ended
    with 1, and not what has a wrong configuration.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written; as many bytes as there were."""
        size = memoryview(data).nbytes
        try:
            return super().write(data) or size
        except OSError:
            return size


def _prepare_streams() -> None:
    """Whatever the locale: addresses and JSON are UTF-8, and scripts get the same bytes."""
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        raw = _StandardError(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True)
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
