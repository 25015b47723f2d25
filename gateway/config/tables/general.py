"""The top of gateway.toml: the store, the processes, and what holds for every front end."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import AuthorityName, Mode, OnError, SizeCheck
from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.locations import Location, locations
from gateway.config.types import choice, integer, name, seconds

# One core answers some hundred thousand questions a second; more processes
# than any machine of today has processors is a mistyped number.
MAX_WORKERS = 256
# systemd's own default for TimeoutStopSec is 90 s; a drain beyond ten minutes is a hang.
MAX_GRACEFUL_TIMEOUT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralSettings:
    """Top of the file."""

    store: tuple[Location, ...] = setting(
        locations(),
        default=(),
        description="Where mailboxes are looked up. `cyrus` reads the databases of the Cyrus IMAP "
        "installation that [cyrus] names. Other servers are asked, as [remote] says: "
        "`socketmap://host:port` is a smmapd or another gateway, `socketmap+tls://host:port` a "
        "gateway with TLS, `lmtp://host:port` an LMTP server; `socketmap:unix:/path` and "
        "`lmtp:unix:/path` are the same on Unix sockets. Of several in a list, one answers.",
        example='["socketmap+tls://backend1.example.org:12346", "lmtp:unix:/run/cyrus/lmtp"]',
    )
    answers: AuthorityName = setting(
        choice(AuthorityName),
        default=AuthorityName.DELIVERY,
        description="Whose answer is given where store is cyrus. `delivery`: what Cyrus' lmtpd "
        "does with a mail in the end. `smmapd`: what the program of that name says. "
        "gateway.toml(5) has the table of differences, under ANSWERS. Each front end may have its "
        "own `answers`. Other servers answer as they are configured to.",
        example='"smmapd"',
    )
    workers: int = setting(
        integer(1, MAX_WORKERS),
        default=1,
        units="processes",
        description="How many core processes answer on the sockets of [socketmap], [policy] and "
        "[admin]. One is enough for most sites; more of them use more processors.",
        example="2",
    )
    user: str = setting(
        name("a user's name", empty="empty: do not change"),
        default="cyrus",
        description="The user that the gateway becomes after it has opened its sockets, if it is "
        "started as root. That user must be able to read the databases of Cyrus.",
        example='"cyrus"',
    )
    group: str = setting(
        name("a group's name", empty="empty: the user's own"),
        default="",
        description="The group that the gateway becomes, if it is started as root. The user's "
        "other groups are kept as supplementary groups.",
        example='"mail"',
    )
    graceful_timeout: float = setting(
        seconds(0, MAX_GRACEFUL_TIMEOUT),
        default=10.0,
        units="seconds",
        description="How long a process that is told to stop (SIGTERM, or the old processes after "
        "a reload) has to finish what is in progress, including a mail at the milter, before it is "
        "killed. systemd is told, and waits that long whatever TimeoutStopSec says. SMTP sessions "
        "have `session_timeout` of [milter] after a reload.",
        example="5",
    )
    mode: Mode = setting(
        choice(Mode),
        default=Mode.ENFORCE,
        description="`enforce` acts on verdicts. `observe` judges and logs every recipient and "
        "refuses none. Each front end may have its own `mode`.",
        example='"observe"',
    )
    on_error: OnError = setting(
        choice(OnError),
        default=OnError.TEMPFAIL,
        description="What a recipient gets while the store cannot be read. `tempfail` lets the "
        "client try again later, `accept` takes the mail. It is never refused permanently.",
        example='"accept"',
    )
    size_check: SizeCheck = setting(
        choice(SizeCheck),
        default=SizeCheck.OFF,
        description="Whether the policy and milter front ends compare the size that the client "
        "announced with the recipient's free quota: `off`, or a mail that is too large is refused "
        "for now (`temporary`) or for good (`permanent`). The reply is "
        "that of [replies.size-over-quota].",
        example='"temporary"',
    )


SECTION = Section(
    name="",
    title="Top of the file",
    description="These come before the first table.",
    build=GeneralSettings,
    declarations=declarations_of(GeneralSettings),
)
