"""The run of the demo: start, table, one question to smmapd, and more on a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import sys

from gateway.errors import GatewayError
from tests.demo import table
from tests.demo.running import Gateway
from tests.demo.store import QUESTIONS, Asked
from tests.rigs.folders import folder
from tests.rigs.processes import RigError

# A terminal that closes and a service manager that stops us must not leave the gateway behind.
_ENDS = (signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run; 0, or 1 with the reason on standard error where the gateway does not serve."""
    for number in _ENDS:
        signal.signal(number, _leave)
    try:
        with folder("demo") as path, Gateway(path) as gateway:
            try:
                _show(gateway)
                if sys.stdin.isatty() and sys.stdout.isatty():
                    _converse(gateway)
            finally:
                for number in (*_ENDS, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)  # the end is near, and must be whole
    except KeyboardInterrupt:
        print()
    except (GatewayError, RigError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return os.EX_OK


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _show(gateway: Gateway) -> None:
    answers = [gateway.ask(asked) for asked in QUESTIONS]
    print("A small Cyrus store, and the whole gateway on it, asked through every door:\n")
    for line in table.lines(answers, _width()):
        print(line)
    print(
        "\n(in brackets: not judged, because the recipient is not ours or exempt; 250 is the MTA's"
        "\nown; a socketmap is asked for existence only, and knows neither size nor alias)"
    )
    command, answer = gateway.smmapd(QUESTIONS[0].recipient)
    print(f"\nThe drop-in, by hand:\n\n$ {command}\n{answer}", flush=True)


def _converse(gateway: Gateway) -> None:
    """Answer recipients that a person types, until an empty line or the end of file."""
    print(f"Serving in {gateway.folder} (gateway.toml, log, and the sockets of the front ends).")
    print("More recipients, one a line, with SIZE=BYTES behind it if you like; an empty line ends.")
    while True:
        try:
            words = input("recipient: ").split()
        except EOFError:
            print()
            return
        if not words:
            return
        recipient, *more = words
        digits = more[0].upper().removeprefix("SIZE=") if more else ""
        asked = Asked(recipient, int(digits) if digits.isdecimal() else None)
        for line in table.lines([gateway.ask(asked)], _width()):
            print(line)


if __name__ == "__main__":
    sys.exit(main())
