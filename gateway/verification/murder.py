"""The other servers of a Murder: backends to ask, and mupdate to kick.

One object serves all threads of a process, so that they share connections and
what is known of each server's health.  It is imported only where a mailbox is
remote or missing, so that an ordinary look-up does not pay for it.
"""

from __future__ import annotations

import time

from gateway.errors import UpstreamError
from gateway.upstream.connection import plain_lookup
from gateway.upstream.mupdate import Kicker
from gateway.verification.backends import Backends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.imapdconf import ImapdConf
    from gateway.upstream.connection import Lookup


class MurderUpstreams:
    """Backends and mupdate, as one server of the Murder reaches them."""

    __slots__ = ("backends", "kicker")

    def __init__(self, backends: Backends, kicker: Kicker) -> None:
        self.backends = backends
        self.kicker = kicker

    @classmethod
    def for_conf(cls, conf: ImapdConf, lookup: Lookup = plain_lookup) -> MurderUpstreams:
        """As imapd.conf says; what smmapd does."""
        return cls(
            Backends(
                port=conf.smmapd_backend_port,
                deadline=conf.smmapd_backend_timeout,
                unreachable_is_ok=conf.smmapd_backend_unreachable,
                lookup=lookup,
            ),
            Kicker(conf.configdirectory),
        )

    def kick(self, since: float | None = None, came: float | None = None) -> str | None:
        """Have the mailbox list as current as at `since`; the problem, if there was one.

        It is over when a question to a backend would be that `came` then (both are
        moments of time.monotonic; the default is now).  As in the C program a kick
        that fails does not change the question: the list is looked at again all
        the same.
        """
        now = time.monotonic()
        until = (came if came is not None else now) + self.backends.deadline
        try:
            self.kicker.kick(since if since is not None else now, until)
        except UpstreamError as fault:
            return str(fault)
        return None
