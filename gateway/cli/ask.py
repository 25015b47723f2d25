"""`ask`: what the running gateway answers, asked through its own sockets as a mail server asks.

Every socket of every front end that gateway.toml names is asked about each
recipient; one line each: recipient, front end, socket, what it means, the
answer, and how many milliseconds it took, connecting included, separated by tabs.
`explain` and `check` read the store themselves; `ask` shows what is served.

The exit code is that of `check`: 0 if every answer accepts, 1 if some refuse,
75 if some are temporary or there is no answer.  With --expect it is 0 if every
answer is the expected one, 1 if some are not, and 75 if there is no answer: a
check for monitoring.
"""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.colour import Palette, Style
from gateway.cli.common import add_mail, inquiry, settings_of
from gateway.cli.failures import SOME_NOT, ArgumentsError, InputError
from gateway.config.endpoints import DescriptorEndpoint, InetEndpoint, UnixEndpoint, parse
from gateway.config.frontends import NAMES, front_end
from gateway.errors import UpstreamError
from gateway.frontends.inquiry import Heard, Means
from gateway.upstream.address import InetAddress, UnixAddress
from gateway.upstream.connection import Dialer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint
    from gateway.frontends.inquiry import Inquiry
    from gateway.upstream.address import Address

# Seconds for one answer, connecting included: what Sendmail and our own snippets give a milter.
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class SocketAnswer:
    """What one socket said of one recipient; `problem` says why there is no answer."""

    recipient: bytes
    front: str
    socket: str
    milliseconds: float
    heard: Heard | None = None
    problem: str = ""

    @property
    def means(self) -> str:
        """One word for scripts."""
        return self.heard.means.value if self.heard is not None else "none"

    @property
    def text(self) -> bytes | str:
        """The answer's own words."""
        return self.heard.answer if self.heard is not None else self.problem


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument(
        "recipients", metavar="RECIPIENT", nargs="+", help="an address, in brackets or not"
    )
    parser.add_argument(
        "--front",
        metavar="NAME",
        choices=NAMES,
        action="append",
        help=f"ask this front end only ({', '.join(NAMES)}); may be repeated",
    )
    parser.add_argument(
        "--socket",
        metavar="SOCKET",
        action="append",
        default=[],
        help="ask this socket instead of those in gateway.toml; takes one --front",
    )
    parser.add_argument(
        "--expect",
        metavar="ANSWER",
        choices=tuple(each.value for each in Means),
        help="exit with 0 only if every answer is this one: ok, no or later",
    )
    add_mail(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask all; the exit code says the worst, or whether all is as expected."""
    settings = settings_of(options)
    targets = tuple(_targets(options, settings))
    if options.sender is None:
        options.sender = _default_sender()
    palette = Palette(options.color)
    answers = []
    for recipient in options.recipients:
        asked = inquiry(options, recipient)
        for front, endpoint in targets:
            answer = _ask(front, endpoint, asked, settings)
            answers.append(answer)
            output.emit(_json(answer) if options.json else _line(answer, palette))
    return _code(answers, options.expect)


def _default_sender() -> str:
    """A user of this machine: the null sender is a bounce's, to which other rules apply."""
    return f"postmaster@{os.uname().nodename}"


def _targets(options: argparse.Namespace, settings: Settings) -> Iterator[tuple[str, Endpoint]]:
    """Each front end with each socket that is to be asked."""
    front_ends: Sequence[str] = options.front or ()
    if options.socket:
        if len(front_ends) != 1:
            raise ArgumentsError("ask: --socket takes one --front, which says what is spoken there")
        for text in options.socket:
            endpoint = parse(text)
            if isinstance(endpoint, DescriptorEndpoint):
                raise ArgumentsError(f"ask: --socket {text}: write unix:/PATH or inet:ADDRESS:PORT")
            yield front_ends[0], endpoint
        return
    # A configuration without any socket is refused before (config/checks.py).
    for front in front_ends or NAMES:
        listening = settings.listeners.get(front, ())
        if not listening and front_ends:
            raise ArgumentsError(f"ask: [{front}] listens nowhere in {options.config}")
        for endpoint in listening:
            if isinstance(endpoint, DescriptorEndpoint):
                raise ArgumentsError(
                    f"ask: only systemd knows where {endpoint} of [{front}] listens; name it with "
                    f"--front {front} --socket unix:/PATH"
                )
            yield front, endpoint


def _ask(front: str, endpoint: Endpoint, asked: Inquiry, settings: Settings) -> SocketAnswer:
    begun = time.monotonic()
    until = begun + _PATIENCE
    heard, problem = None, ""
    try:
        link = _dialer(endpoint, settings).open(until)
        try:
            heard = front_end(front).ask(link, asked, until)
        finally:
            link.close()
    except UpstreamError as error:
        problem = error.problem
    taken = (time.monotonic() - begun) * 1000
    return SocketAnswer(asked.recipient, front, str(endpoint), taken, heard, problem)


def _dialer(endpoint: Endpoint, settings: Settings) -> Dialer:
    address: Address
    context = None
    if isinstance(endpoint, UnixEndpoint):
        address = UnixAddress(endpoint.path)
    else:
        assert isinstance(endpoint, InetEndpoint)
        address = InetAddress(endpoint.own_host, endpoint.port)
        context = _context(settings) if endpoint.tls else None
    return Dialer(str(endpoint), address, context=context)


def _context(settings: Settings) -> ssl.SSLContext:
    """TLS to ourselves: our own certificate is shown, and not checked.

    The socket's address is a number, for which no certificate is made.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    chosen = settings.tls
    if chosen.certificate:
        try:
            context.load_cert_chain(chosen.certificate, chosen.key or None)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                chosen.certificate, f"cannot be shown to the gateway: {error.strerror or error}"
            ) from None
    return context


_STYLES = {
    Means.ACCEPTED.value: Style.GOOD,
    Means.REFUSED.value: Style.BAD,
    Means.DEFERRED.value: Style.DOUBTFUL,
}


def _line(answer: SocketAnswer, palette: Palette) -> str:
    means = palette.paint(answer.means, _STYLES.get(answer.means, Style.DOUBTFUL))
    who = (output.field(each) for each in (answer.recipient, answer.front, answer.socket))
    return "\t".join((*who, means, output.field(answer.text), f"{answer.milliseconds:.1f} ms"))


def _json(answer: SocketAnswer) -> str:
    return output.json_line(
        {
            "recipient": output.text(answer.recipient),
            "front_end": answer.front,
            "socket": answer.socket,
            "means": answer.means,
            "answer": output.text(answer.heard.answer) if answer.heard is not None else None,
            "problem": answer.problem or None,
            "milliseconds": round(answer.milliseconds, 3),
        }
    )


def _code(answers: Sequence[SocketAnswer], expected: str | None) -> int:
    said = {answer.means for answer in answers}
    if "none" in said:
        return os.EX_TEMPFAIL
    if expected is not None:
        return os.EX_OK if said == {expected} else SOME_NOT
    if Means.DEFERRED.value in said:
        return os.EX_TEMPFAIL
    return SOME_NOT if Means.REFUSED.value in said else os.EX_OK
