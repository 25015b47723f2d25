"""The table [remote]: how other servers are asked, where `store` names some."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import Order
from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.types import choice, integer, seconds
from gateway.verification.kinds import KINDS, NO, OVER_QUOTA

# Postfix waits 100 s for a socketmap; a client that waits longer gets no answer.
MAX_DEADLINE = 60
# To the C smmapd each connection is a process.
MAX_POOL = 128
# An answer of yesterday is worth nothing, but for `serve_stale`.
MAX_REMEMBERED = 86_400
MAX_STALE = 30 * 86_400
# Some 500 bytes each.
MAX_ENTRIES = 4_000_000


def _verdicts(remembered: str) -> str:
    """The kinds that a setting `remember_*` is for, by their words."""
    return ", ".join(f"`{kind.name}`" for kind in KINDS if kind.remembered_as == remembered)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """How other servers are asked, and how long their answers hold."""

    deadline: float = setting(
        seconds(0.1, MAX_DEADLINE),
        default=5.0,
        units="seconds",
        description="How long a question may take: looking the name up, connecting, TLS and the "
        "reply, and all servers that are tried. After that the recipient gets a temporary failure. "
        "The addresses of a name are used for 30 s, whatever its TTL, and then looked up again in "
        "the background; questions use the old ones until there are new ones.",
        example="2.5",
    )
    pool_size: int = setting(
        integer(1, MAX_POOL),
        default=8,
        units="connections",
        description="How many connections one process keeps to each server, and how many "
        "questions it asks one server at once. More are queued.",
        example="32",
    )
    order: Order = setting(
        choice(Order),
        default=Order.FAILOVER,
        description="Which of several servers is asked. `failover` asks the first one of the list, "
        "and the next one if it fails. `spread` begins with a server chosen by the recipient's "
        "address, so that each server gets its share, and always the same recipients.",
        example='"spread"',
    )
    remember_yes: float = setting(
        seconds(0, MAX_REMEMBERED),
        default=60.0,
        units="seconds",
        description="How long the answer that a recipient may get mail is remembered; 0: not at "
        "all.",
        example="300",
    )
    remember_no: float = setting(
        seconds(0, MAX_REMEMBERED),
        default=15.0,
        units="seconds",
        description="The same for recipients that do not exist, or may not get mail: "
        f"{_verdicts(NO)}.",
        example="60",
    )
    remember_over_quota: float = setting(
        seconds(0, MAX_REMEMBERED),
        default=15.0,
        units="seconds",
        description=f"The same for recipients over quota: {_verdicts(OVER_QUOTA)}. Other temporary "
        "failures are never remembered.",
        example="30",
    )
    max_entries: int = setting(
        integer(16, MAX_ENTRIES),
        default=131_072,
        units="recipients",
        description="How many answers one process remembers, about 500 bytes each. The oldest "
        "are dropped.",
        example="1000000",
    )
    serve_stale: float = setting(
        seconds(0, MAX_STALE),
        default=0.0,
        units="seconds",
        description="While no server can be asked, an answer that expired no longer ago than this "
        "may be given again; 0: never, the recipient gets a temporary failure. That "
        "holds for acceptances and temporary answers. A permanent refusal is never given again: "
        "the recipient may have been created since.",
        example="14400",
    )


SECTION = Section(
    name="remote",
    title="Other servers",
    description="Used where `store` names servers. Their answers are remembered for a short time; "
    "many simultaneous questions about one recipient are asked once.",
    build=RemoteSettings,
    declarations=declarations_of(RemoteSettings),
)
