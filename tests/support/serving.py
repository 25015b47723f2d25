"""What the sessions of a front end share, as a process makes it of gateway.toml, without the process.

For tests of what `sessions` of a front end does with its table (`serving.table`) and its counts
(`serving.counters`): the demo's store, its engine and a judge as in a gateway.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from gateway import config
from gateway.config.choices import AddressPrivacy
from gateway.config.frontends import front_end
from gateway.frontends.counters import OutcomeCounters
from gateway.frontends.frontend import Serving, Session
from gateway.observability.logging.setup import AddressWriter
from gateway.observability.logging.verdicts import VerdictLog
from gateway.wiring.engines import make_engines
from gateway.wiring.judges import make_judge
from tests.demo.store import build


class Served:
    """A front end by its name, with lines of its own table of gateway.toml.

    `session` is one client's, and `session_for` makes those of others by their names; `complaints`
    are why clients were disconnected.
    """

    def __init__(self, folder: Path, name: str, *lines: str) -> None:
        text = "\n".join(
            (
                "[cyrus]",
                f'imapd_conf = "{build(str(folder)).conf_path}"',
                "[scope]",
                'domains = ["example.org"]',
                f"[{name}]",
                'listen = ["unix:/run/smmapd/test"]',
                *lines,
            )
        )
        settings = config.loads(text.encode(), "gateway.toml")
        self.complaints: list[str] = []
        self.defects: list[Exception] = []
        own = settings.front_end(name)
        self.counters = OutcomeCounters(deque(maxlen=1))
        self._row = front_end(name)
        self.serving = Serving(
            memory=make_engines(settings).memory(settings.general.answers),
            judge=make_judge(settings, self._row),
            table=own,
            counters=self.counters,
            log=VerdictLog(name, own.mode, AddressWriter(AddressPrivacy.FULL)),
            complain=lambda client, problem: self.complaints.append(f"{client}: {problem}"),
            defect=self.defects.append,
        )
        self.session_for = self._row.sessions(self.serving)
        self.session: Session = self.session_for("a client")

    def say(self, data: bytes) -> bytes:
        """All replies to what a client sends."""
        out = self.session.cached_reply(data)
        if out is not None:
            return out
        self.session.receive(data)
        out = b""
        while self.session.busy and self.session.pending is None:
            out += self.session.replies()
        return out
