"""The command line of smmapd(8), read as a Cyrus service reads it.

Options and their arguments are separated by blanks (`-U 5`): master/service.c
refuses merged ones, and so does this.  Numbers are read as C's atoi does, so
a cyrus.conf that works for the C program works here.  Written by hand because
argparse alone costs more time than a whole answer on standard input.
"""

from __future__ import annotations

from gateway.errors import GatewayError
from gateway.values import Value

USAGE = "usage: smmapd [-C <alt_config>] [-U uses] [-T timeout] [-D] [-p] [-X]"

DEFAULT_CONFIG = "/etc/imapd.conf"
DEFAULT_USES = 250
DEFAULT_TIMEOUT = 60  # seconds


class UsageError(GatewayError):
    """The command line makes no sense; the message says which word."""


class Options(Value):
    """What the command line says.

    `uses`: connections after which the process leaves, at least 1.  `timeout`: seconds
    without a new connection after which it leaves, 0 for never.
    """

    __slots__ = ("config", "debugger", "skip_plus", "stdio", "timeout", "uses")
    config: str
    debugger: bool
    skip_plus: bool
    stdio: bool
    timeout: int
    uses: int

    def __init__(
        self,
        *,
        config: str = DEFAULT_CONFIG,
        debugger: bool = False,
        skip_plus: bool = False,
        stdio: bool = False,
        timeout: int = DEFAULT_TIMEOUT,
        uses: int = DEFAULT_USES,
    ) -> None:
        self.config = config
        self.debugger = debugger
        self.skip_plus = skip_plus
        self.stdio = stdio
        self.timeout = timeout
        self.uses = uses
        self._freeze()


# letter: field, and whether it takes an argument.
_TABLE = {
    "C": ("config", True),
    "D": ("debugger", False),
    "T": ("timeout", True),
    "U": ("uses", True),
    "X": ("stdio", False),
    "p": ("skip_plus", False),
}
# Numbers, and the least that each can be: with `-U 0` the C program leaves
# after its first connection, and `-T 0` means never.
_NUMBERS = {"timeout": 0, "uses": 1}


def parse(arguments: list[str]) -> Options:
    """The options in `arguments` (without the program's name).

    Raises UsageError; its text names the word that is wrong.
    """
    fields: dict[str, object] = {}
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if len(word) < 2 or word[0] != "-":
            raise UsageError(f"{word!r} is not an option")
        letter = word[1]
        if letter not in _TABLE:
            raise UsageError(f"invalid option {word!r}")
        if len(word) > 2:
            raise UsageError(f"{word!r}: options and arguments MUST be separated by whitespace")
        field, takes_argument = _TABLE[letter]
        if not takes_argument:
            fields[field] = True
            continue
        argument = next(words, None)
        if argument is None:
            raise UsageError(f"option {word!r} requires an argument")
        fields[field] = max(_NUMBERS[field], atoi(argument)) if field in _NUMBERS else argument
    rest = next(words, None)
    if rest is not None:
        raise UsageError(f"{rest!r} is not an option")
    return Options(**fields)  # type: ignore[arg-type]


def atoi(text: str) -> int:
    """The number that C's atoi(3) reads: leading blanks, a sign, digits, the rest ignored."""
    text = text.lstrip(" \t\n\v\f\r")
    sign = -1 if text.startswith("-") else 1
    if text[:1] in ("-", "+"):
        text = text[1:]
    number = 0
    for character in text:
        if character not in "0123456789":
            break
        number = number * 10 + int(character)
    return sign * number
