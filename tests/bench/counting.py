"""What counting costs on the way of a request that is answered from memory.

    .venv/bin/python -m tests.bench.counting

Times the ready replies of socketmap and policy as they are, and the counting
in them alone, and prints both: nothing is asserted, it depends on the machine.
A whole request, with its two system calls and the event loop's share, takes 5 to 8 us
of processor time on the machine of the benchmark's table.
"""

from __future__ import annotations

import tempfile
from collections import deque
from functools import partial
from timeit import repeat

from gateway.config import loads
from gateway.frontends.counters import OutcomeCounters
from gateway.frontends.outcome import OutcomeCounter
from gateway.frontends.policy_cache import PolicyActionCache
from gateway.frontends.policy_frontend import FRONT_END as POLICY
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.socketmap_cache import SocketmapReplyCache
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.protocols.socketmap import encode
from gateway.verification.decider import Memory
from gateway.wiring.engines import make_engines
from gateway.wiring.judges import make_judge
from tests.demo.store import build
from tests.rigs.waiting import wait_until

ROUNDS, CALLS = 7, 100_000
REQUEST_NS = (5000, 8000)
TOML = """
[cyrus]
imapd_conf = "{conf}"
[policy]
listen = ["unix:/run/smmapd/policy"]
[scope]
domains = ["example.org"]
"""
ATTRIBUTES = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=s@client.example\n"
    b"client_address=192.0.2.1\nrecipient=%b\nsize=0\n\n"
)
FRED, OLGA = b"fred@example.org", b"olga@example.org"


def nanoseconds(statement: str, names: dict[str, object], setup: str = "pass") -> float:
    """The best of some rounds: the least disturbed one."""
    return min(repeat(statement, setup, number=CALLS, repeat=ROUNDS, globals=names)) / CALLS * 1e9


def counting(*, refuses: bool) -> float:
    """The lines that count, as they stand in SocketmapReplyCache.cached_reply."""
    counter = OutcomeCounter(("over-quota", "", ""), deque(maxlen=20) if refuses else None)
    lines = (
        "counter = entry.counter\n"
        "counter.count += 1\n"
        "if counter.refusals is not None:\n"
        "    counter.refused(key, reason)\n"
    )
    entry = type("Entry", (), {"__slots__": ("counter",)})()
    entry.counter = counter
    names: dict[str, object] = {"entry": entry, "key": OLGA, "reason": b"Over quota"}
    return nanoseconds(lines, names) - nanoseconds("pass", names)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        settings = loads(TOML.format(conf=build(folder).conf_path).encode(), "gateway.toml")
        cache = make_engines(settings).memory(settings.general.answers)
        counters = OutcomeCounters(deque(maxlen=20))
        judge = make_judge(settings, POLICY)
        replies = SocketmapReplyCache(cache, counter_of=counters.cached_verdict)
        actions = PolicyActionCache(cache, judge, counters.cached_decision)
        session = SocketmapSession(cache, replies=replies)
        policy = PolicySession(cache, judge, actions=actions)
        rows = []
        for name, conversation, request in (
            ("socketmap, deliverable", session, encode(b"cyrus " + FRED)),
            ("socketmap, refused", session, encode(b"cyrus " + OLGA)),
            ("policy, deliverable", policy, ATTRIBUTES % FRED),
            ("policy, refused", policy, ATTRIBUTES % OLGA),
        ):
            wait_until(partial(ready, cache, conversation, request), f"{name} is remembered")
            taken = nanoseconds(
                "cached_reply(request)",
                {"cached_reply": conversation.cached_reply, "request": request},
            )
            rows.append((name, taken, counting(refuses=name.endswith("refused"))))
    print(f"{'':24} {'reply':>9} {'counting':>9}   of a whole request")
    for name, taken, cost in rows:
        shares = " to ".join(f"{100 * cost / each:.1f} %" for each in reversed(REQUEST_NS))
        print(f"{name:24} {taken:6.0f} ns {cost:6.0f} ns   {shares}")


def ready(cache: Memory, conversation: SocketmapSession | PolicySession, request: bytes) -> bool:
    """Ask until the answer is ready: a file that was just written proves nothing yet."""
    cache.expire_tick()
    conversation.receive(request)
    conversation.replies()
    return conversation.cached_reply(request) is not None


if __name__ == "__main__":
    main()
