"""Asks an engine in this process, for `firstanswers.py`; runs on any state of the project.

    PYTHONPATH=TREE python tests/bench/firstworker.py STORE FOLDER

Reads a question a line (JSON: answers, index, known, count) and prints the processor
time of one first answer in microseconds; or, where it says `waits`, asks everybody once and prints the
milliseconds of the longest that one question, or one piece of work in between, took.  Nothing of `tests` is imported: the
tree that is measured may be an older one.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import sys
import time
from collections.abc import Callable

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import Verifier

# Questions between two pieces of work.
STEPS = 100
# How many of the longest are named on standard error.
SHOWN = 12

CONF = """configdirectory: {folder}
unixhierarchysep: yes
mboxlist_db: twoskip
mboxlist_db_path: {store}/mailboxes.db
quota_db: quotalegacy
quota_db_path: {store}/quotas.db
"""


class Engines:
    """The engines of one process: one for each authority, with and without an index."""

    def __init__(self, store: str, folder: str) -> None:
        with open(os.path.join(store, "every.keys"), "rb") as file:
            self._users = file.read().split()
        path = os.path.join(folder, f"imapd-{os.getpid()}.conf")
        with open(path, "w", encoding="ascii") as conf:
            conf.write(CONF.format(folder=folder, store=store))
        self._conf = imapdconf.load(path)
        self._engines: dict[tuple[str, bool], VerdictCache] = {}
        self._asked: dict[tuple[str, bool, bool], int] = {}

    def microseconds(
        self, answers: str, count: int, *, index: bool, known: bool, before: int = 0
    ) -> float:
        """What the first answer to each of `count` recipients costs, nobody being asked twice.

        A new engine is asked `before` others first, who do not count.
        """
        engine = self._engine(answers, index)
        key = answers, index, known
        if before and key not in self._asked:
            self.microseconds(answers, before, index=index, known=known)
        first = self._asked.get(key, 0)
        self._asked[key] = first + count
        numbers = range(first, first + count)
        if known:
            queries = [Query(self._users[n % len(self._users)]) for n in numbers]
        else:
            queries = [Query(b"nobody%d.%03d" % (n, n * 7919 % 1000)) for n in numbers]
        gc.collect()
        gc.disable()
        begin_tick = _named(engine, "begin_tick", "turn")
        begun = time.process_time()
        for query in queries:
            begin_tick()
            engine.decide(query)
        taken = time.process_time() - begun
        gc.enable()
        verdict = engine.decide(queries[-1])
        kind = type(verdict.kind) if isinstance(verdict, Verdict) else None  # of that tree
        wanted = kind and (kind.DELIVERABLE if known else kind.NONEXISTENT)
        if not isinstance(verdict, Verdict) or verdict.kind is not wanted:
            raise AssertionError(f"a wrong answer to {queries[-1].recipient!r}")
        return taken / count * 1e6

    def longest_ms(self, answers: str) -> float:
        """The longest question or piece of work while a new engine is asked everybody once.

        Processor time of the thread: what the machine does meanwhile is not our matter.  Between
        STEPS questions there is a piece of work, as the event loop has one now and then.
        """
        from gateway.frontends.socketmap_cache import SocketmapReplyCache
        from gateway.frontends.socketmap_session import SocketmapSession
        from gateway.server.garbage import GarbageCollection

        verifier = Verifier.for_store(CyrusStore(self._conf, b"smmapd"), answers=answers)
        cache = VerdictCache(verifier)
        session = SocketmapSession(cache, replies=SocketmapReplyCache(cache))
        GarbageCollection()
        cache.files_changed()  # as a process does before it serves
        clock = time.thread_time
        taken: list[tuple[float, str]] = []
        busy = True
        for number, user in enumerate(self._users):
            request = b"%d:cyrus %b," % (len(user) + 6, user)
            cache.begin_tick()
            begun = clock()
            session.receive(request)
            reply = session.replies()
            taken.append((clock() - begun, f"question {number}"))
            if b":OK " not in reply:
                raise AssertionError(f"a wrong answer to {user!r}: {reply!r}")
            if busy and number > STEPS and not number % STEPS:
                begun = clock()
                busy = cache.build_index_step()
                taken.append((clock() - begun, f"a piece of work before question {number}"))
        busy = True
        while busy:
            begun = clock()
            busy = cache.shrink()
            taken.append((clock() - begun, "giving back memory"))
        taken.sort(reverse=True)
        longest = [f"{seconds * 1000:.2f} ms {what}" for seconds, what in taken[:SHOWN]]
        print("; ".join(longest), file=sys.stderr, flush=True)
        return taken[0][0] * 1000

    def _engine(self, answers: str, index: bool) -> VerdictCache:
        if (answers, index) not in self._engines:
            store = CyrusStore(self._conf, b"smmapd")
            if "answers" in inspect.signature(Verifier.for_store).parameters:
                verifier = Verifier.for_store(store, answers=answers)
            else:
                verifier = Verifier.for_store(store)  # of before there were authorities
            engine = self._engines[answers, index] = VerdictCache(verifier)
            engine.decide(Query(b"somebody"))
            build_index_step = _named(engine, "build_index_step", "prepare")
            while index and build_index_step():
                pass
        return self._engines[answers, index]


def _named(engine: VerdictCache, *names: str) -> Callable[[], object]:
    """The method of the engine that has one of these names, the newest first."""
    name = next(each for each in names if hasattr(engine, each))
    method: Callable[[], object] = getattr(engine, name)
    return method


def main() -> None:
    """Answer until standard input ends."""
    engines = Engines(*sys.argv[1:3])
    for line in sys.stdin:
        question = json.loads(line)
        if question.pop("waits", False):
            print(engines.longest_ms(**question), flush=True)
        else:
            print(engines.microseconds(**question), flush=True)


if __name__ == "__main__":
    main()
