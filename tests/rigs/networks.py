"""Two machines in one: network namespaces with a cable between them, made by ip(8).

    with Networks() as (one, other):
        run([*one.command, "ping", "-c1", other.address])

They have the addresses 192.0.2.1 and 192.0.2.2 (RFC 5737), a loopback
interface each, and no way to anywhere else.  Only root can make them.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.rigs.processes import run

_ADDRESSES = ("192.0.2.1", "192.0.2.2")


@dataclass(frozen=True, slots=True)
class Network:
    """One namespace; `command` are the words that run what follows them in it."""

    name: str
    address: str

    @property
    def command(self) -> tuple[str, ...]:
        """For Daemon, run and Gateway."""
        return ("ip", "netns", "exec", self.name)


class Networks:
    """A pair of namespaces; a `with` ends them."""

    def __init__(self) -> None:
        stem = f"smmapd-{os.getpid()}"
        self.pair = tuple(
            Network(f"{stem}-{end}", address) for end, address in zip("ab", _ADDRESSES, strict=True)
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for network in self.pair:
                run(["ip", "netns", "add", network.name])
                stack.callback(run, ["ip", "netns", "delete", network.name])
            one, other = self.pair
            peer = ["peer", "name", "cable", "netns", other.name]
            run(["ip", "-n", one.name, "link", "add", "cable", "type", "veth", *peer])
            for network in self.pair:
                run(
                    [
                        "ip",
                        "-n",
                        network.name,
                        "addr",
                        "add",
                        f"{network.address}/30",
                        "dev",
                        "cable",
                    ]
                )
                for device in ("lo", "cable"):
                    run(["ip", "-n", network.name, "link", "set", device, "up"])
            self._stack = stack.pop_all()
        return self

    def cut(self) -> None:
        """Pull the cable: packets are lost without a word."""
        run(["ip", "-n", self.pair[0].name, "link", "set", "cable", "down"])

    def fix(self) -> None:
        """Put the cable back."""
        run(["ip", "-n", self.pair[0].name, "link", "set", "cable", "up"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
