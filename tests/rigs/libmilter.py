"""A milter on libmilter, by way of pymilter: it refuses nobody@ and lets all others through.

    python -m tests.rigs.libmilter SOCKET

It asks for the same steps and macros as ours, so that what libmilter says can be
compared with what we say (tests/real/test_libmilter.py).
"""

from __future__ import annotations

import sys

import milter

from gateway.frontends.milter_conversation import SILENT, UNWANTED, WANTED

REFUSED = b"<nobody@example.org>"


class _Context:
    """libmilter's context of one connection."""

    def setreply(self, code: str, enhanced: str, text: str) -> None:
        """The reply that goes with REJECT."""

    def setsymlist(self, stage: int, macros: str) -> None:
        """Ask the MTA for macros."""

    def setpriv(self, value: object) -> None:
        """Remember something for this connection."""

    def getpriv(self) -> int:
        """What was remembered."""
        return 0


def negotiate(ctx: _Context, options: list[int]) -> int:
    """What ours takes of the offer."""
    for stage, names in WANTED:
        ctx.setsymlist(stage, names)
    options[0], options[1] = 0, options[1] & (UNWANTED | SILENT)
    ctx.setpriv(options[1])
    return int(milter.CONTINUE)


def connect(ctx: _Context, *_: object) -> int:
    """No word where none is expected."""
    return int(milter.NOREPLY if ctx.getpriv() & milter.P_NR_CONN else milter.CONTINUE)


def envfrom(ctx: _Context, *_: object) -> int:
    """The same."""
    return int(milter.NOREPLY if ctx.getpriv() & milter.P_NR_MAIL else milter.CONTINUE)


def envrcpt(ctx: _Context, argument: bytes, *_: object) -> int:
    """One is refused, with a percent sign in the reply."""
    if argument != REFUSED:
        return int(milter.CONTINUE)
    ctx.setreply("550", "5.1.1", "100%% unknown")
    return int(milter.REJECT)


def go_on(*_: object) -> int:
    """All other steps."""
    return int(milter.CONTINUE)


def main() -> None:
    """Serve until ended."""
    milter.set_connect_callback(connect)
    milter.set_envfrom_callback(envfrom)
    milter.set_envrcpt_callback(envrcpt)
    milter.set_eom_callback(go_on)
    milter.set_abort_callback(go_on)
    milter.set_close_callback(go_on)
    milter.register("compared", negotiate=negotiate)
    milter.setconn(f"unix:{sys.argv[1]}")
    milter.main()


if __name__ == "__main__":
    main()
