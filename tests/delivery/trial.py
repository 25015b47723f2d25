"""One store, some recipients: what we said of them, and what delivery made of it.

`trial(seed, count, root)` builds the store of a seed, asks the gateway and
both programs called smmapd (smmapds.py), then delivers.  Where the two do not say the same of a recipient, or we refuse and
lmtpd refuses for something that passes, it is delivered to once more, alone,
from the untouched store: what another recipient of the same mail did to a
quota or a mailbox is then out of the way.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.delivery.asking import Answer, Asker
from tests.delivery.histories import make_history, use_quotas
from tests.delivery.lmtpd import Judge, Truth
from tests.delivery.recipients import batches, mailable, names, recipients
from tests.delivery.sites import Site, random_site
from tests.delivery.smmapds import Difference, differing
from tests.rigs.cyrus import Cyrus
from tests.rigs.debian import Root
from tests.rigs.gateway import Tables

_AGREE = {"accepted": "delivered", "deferred": "deferred", "refused": "refused"}
# Memory, where there is enough of it: lmtpd waits for the disk at each mail.
_MEMORY = "/dev/shm"
_ENOUGH = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One recipient at one front end, and what became of its mail."""

    front_end: str
    recipient: bytes
    answer: Answer
    truth: Truth

    @property
    def kind(self) -> tuple[str, str]:
        """What we said and what happened."""
        return self.answer.outcome, self.truth.outcome

    @property
    def doubtful(self) -> bool:
        """May another recipient of the same mail have made the difference, or hidden one?"""
        plainly = self.truth.rcpt.startswith((b"550 5.1.1", b"550 5.7.1", b"501"))
        return not self.agrees or (self.answer.outcome == "refused" and not plainly)

    @property
    def agrees(self) -> bool:
        """Was it the same?"""
        return _AGREE[self.answer.outcome] == self.truth.outcome


@dataclass(slots=True)
class Trial:
    """The figures of one store."""

    seed: int
    site: Site
    # Users with a record in userdeny, and the services that it names.
    denied: dict[str, str] = field(default_factory=dict)
    recipients: int = 0
    deaths: int = 0
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    differing: list[Row] = field(default_factory=list)
    smmapds: list[Difference] = field(default_factory=list)

    def told(self) -> Iterator[str]:
        """The differing rows for people."""
        for row in self.differing:
            yield (
                f"seed {self.seed} {row.front_end}: {row.recipient!r}: we {row.answer.said!r},"
                f" lmtpd {row.truth.rcpt!r} {row.truth.data!r}; {self.site}"
            )
        for each in self.smmapds:
            yield (
                f"seed {self.seed} smmapd: {each.key!r}: ours {each.ours!r},"
                f" the C program {each.theirs!r}; {self.site}"
            )


def memory_folder() -> str | None:
    """A folder in memory with room for stores, or None."""
    try:
        state = os.statvfs(_MEMORY)
    except FileNotFoundError:
        return None
    return _MEMORY if state.f_bavail * state.f_frsize >= _ENOUGH else None


def trial(seed: int, count: int, root: Root | None = None, tables: Tables | None = None) -> Trial:
    """Ask about and deliver to `count` recipients of the store that comes of `seed`."""
    random = Random(seed)
    site = random_site(random)
    made = Trial(seed, site)
    with Cyrus(site.settings, root=root, parent=memory_folder()) as cyrus:
        cyrus.add_service("imap", "imapd", prefork=1)
        cyrus.start()
        made.denied = make_history(cyrus, site, random)
        cyrus.stop()
        use_quotas(cyrus, site, random)
        keys = recipients(site, names(cyrus, site), random, count)
        asked = [key for key in keys if mailable(key)]
        with Asker(cyrus.imapd_conf, tables or {}) as asker:
            answers = dict(zip(asked, asker.ask(asked), strict=True))
        made.smmapds = list(differing(cyrus, site, keys))
        with Judge(cyrus) as judge:
            truths: dict[bytes, Truth] = {}
            for batch in batches(site, asked):
                truths.update(zip(batch, judge.deliver(batch), strict=True))
            for recipient in asked:
                if any(row.doubtful for row in _rows(recipient, answers, truths)):
                    truths[recipient] = judge.alone(recipient)
            made.deaths = judge.deaths
    for recipient in asked:
        for row in _rows(recipient, answers, truths):
            made.counts[(row.front_end, *row.kind)] += 1
            if not row.agrees:
                made.differing.append(row)
    made.recipients = len(asked)
    return made


def _rows(
    recipient: bytes, answers: dict[bytes, dict[str, Answer]], truths: dict[bytes, Truth]
) -> Iterator[Row]:
    for front_end, answer in answers[recipient].items():
        yield Row(front_end, recipient, answer, truths[recipient])
