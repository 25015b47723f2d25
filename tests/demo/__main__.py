"""The run of the demo: start, table, one question to smmapd, and more on a terminal."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys

from gateway.errors import GatewayError
from gateway.supervisor.wakeup import Wakeup
from tests.demo import table
from tests.demo.running import Gateway
from tests.demo.store import QUESTIONS, Asked
from tests.rigs.folders import folder
from tests.rigs.processes import RigError

# A terminal that closes and a service manager that stops us must not leave the gateway behind.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Told(Exception):
    """A signal says that it is enough; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        self.number = number


def main() -> int:
    """Run; 0, or 1 with the reason on standard error where the gateway does not serve.

    ctrl-C is an ordinary end; another signal gives the exit code that a shell
    gives a program that the signal ended.
    """
    # Where a signal's handler raises, the end could come in the middle of a
    # start or of cleaning up, and one between prompt and read would be slept through.
    with Wakeup(_ENDS) as wakeup:
        try:
            with folder("demo") as path, Gateway(path) as gateway:
                _show(gateway, wakeup)
                if sys.stdin.isatty() and sys.stdout.isatty():
                    _converse(gateway, wakeup)
        except _Told as told:
            print()
            return os.EX_OK if told.number == signal.SIGINT else 128 + told.number
        except (GatewayError, RigError, OSError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
    return os.EX_OK


def _heed(wakeup: Wakeup) -> None:
    """Raise _Told if a signal has come."""
    for number in wakeup.taken():
        raise _Told(number)


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _show(gateway: Gateway, wakeup: Wakeup) -> None:
    answers = []
    for asked in QUESTIONS:
        _heed(wakeup)
        answers.append(gateway.ask(asked))
    print("A small Cyrus store, and the whole gateway on it, asked through every interface:\n")
    for line in table.lines(answers, _width()):
        print(line)
    print(
        "\n(in brackets: not judged, because the recipient is not ours or exempt; 250 is the MTA's"
        "\nown; a socketmap is asked for existence only, and knows neither size nor alias)"
    )
    command, answer = gateway.smmapd(QUESTIONS[0].recipient)
    print(f"\nThe drop-in, by hand:\n\n$ {command}\n{answer}", flush=True)


def _converse(gateway: Gateway, wakeup: Wakeup) -> None:
    """Answer recipients that a person types, until an empty line or the end of file."""
    print(f"Serving in {gateway.folder} (gateway.toml, log, and the sockets of the front ends).")
    print("More recipients, one a line, with SIZE=BYTES behind it if you like; an empty line ends.")
    while True:
        print("recipient: ", end="", flush=True)
        # The terminal gives whole lines: what is there to read is one, or the end.
        select.select([sys.stdin, wakeup], [], [])
        _heed(wakeup)
        line = sys.stdin.readline()
        words = line.split()
        if not words:
            print(end="" if line else "\n")
            return
        recipient, *more = words
        digits = more[0].upper().removeprefix("SIZE=") if more else ""
        asked = Asked(recipient, int(digits) if digits.isdecimal() else None)
        for row in table.lines([gateway.ask(asked)], _width()):
            print(row)


if __name__ == "__main__":
    sys.exit(main())
