"""The table [murder]: the backends of a Cyrus Murder, where the mailbox list names some."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import Unreachable
from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.tables.remote import MAX_DEADLINE, MAX_POOL
from gateway.config.types import choice, integer, seconds
from gateway.upstream.socketmapclient import DEFAULT_DEADLINE, DEFAULT_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class MurderSettings:
    """How backends are asked."""

    port: int = setting(
        integer(1, 65_535),
        default=DEFAULT_PORT,
        description="The TCP port of smmapd on the backends, the C program's or ours. A server of "
        "the mailbox list that names a port itself, `host:port`, is asked there.",
        example="2345",
    )
    deadline: float = setting(
        seconds(0.1, MAX_DEADLINE),
        default=DEFAULT_DEADLINE,
        units="seconds",
        description="How long a question may take: looking the name up, connecting, the reply, the "
        "kick to mupdate where there is one, and what is asked after that.",
        example="2.5",
    )
    pool_size: int = setting(
        integer(1, MAX_POOL),
        default=8,
        units="connections",
        description="How many connections one process keeps to each backend, and how many "
        "questions it asks one backend at once. To the C program each of them is a process: the "
        "entry for smmapd in the backend's cyrus.conf needs maxchild (default: no limit) for this "
        "number times the processes (each worker, and one for the milter) of every frontend, and "
        "twice that while a new configuration comes into force.",
        example="32",
    )
    unreachable: Unreachable = setting(
        choice(Unreachable),
        default=Unreachable.TEMPFAIL,
        description="What a recipient gets if its backend gives no usable answer: `tempfail`, or "
        "`ok`, because its mailbox is known to exist; its quota is then checked at delivery. "
        "smmapd(8) does the latter.",
        example='"ok"',
    )


SECTION = Section(
    name="murder",
    title="Backends of a Cyrus Murder",
    description="Used where the mailbox list says that a mailbox is on another server. Its "
    "smmapd is asked each time, so that quota and userdeny there decide.",
    build=MurderSettings,
    declarations=declarations_of(MurderSettings),
)
