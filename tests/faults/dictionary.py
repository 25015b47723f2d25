"""A dictionary attack on the policy interface of a gateway that asks Postfix' tables, which are slow.

    .venv/bin/python -m tests.faults.dictionary [--rate 1000] [--seconds 10] [--delay 0.2]

RATE unknown recipients a second, none of them twice, over CLIENTS connections as
smtpds have them; each look-up in the one table takes DELAY seconds.  A witness
asks about a good recipient, before the attack and during it.  Printed are what
the witness waits, what the attackers are told, how many programs were started,
and the CPU that the gateway and all of these took.

Nothing is judged here.  The gateway has processor 0, everybody else another one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from tests.faults.latency import at, before_attackers, place
from tests.faults.undisturbed import Target, attacked, peak_kib
from tests.rigs.clients import PolicyInterface
from tests.rigs.folders import folder, write_text
from tests.rigs.gateway import Tables
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.witnesses import FRED

CLIENTS = 200
_QUESTION = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\ninstance=%d\n"
    b"client_address=192.0.2.1\nsender=joe@sender.test\nrecipient=%b\n\n"
)
_MICRO = 1e6
# Questions a second of the witness, about.
_PACE = 500


class SlowTable(socketserver.ThreadingTCPServer):
    """A tcp_table(5) that knows nobody, and thinks about it for `delay` seconds."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, delay: float) -> None:
        self.delay = delay
        self.asked = 0
        super().__init__((LOOPBACK, port), _Asked)


class _Asked(socketserver.StreamRequestHandler):
    """One client of a SlowTable."""

    def handle(self) -> None:
        """A line a key."""
        assert isinstance(self.server, SlowTable)
        for _line in self.rfile:
            self.server.asked += 1
            threading.Event().wait(self.server.delay)
            try:
                self.wfile.write(b"500 not%20found\n")
            except OSError:  # the program was ended
                return


@contextmanager
def slow_site(delay: float) -> Iterator[tuple[Target, SlowTable]]:
    """A gateway whose Postfix has one slow table of aliases."""
    with ExitStack() as stack:
        (port,) = free_ports(1)
        table = stack.enter_context(SlowTable(port, delay))
        thread = threading.Thread(target=table.serve_forever, daemon=True)
        thread.start()
        stack.callback(table.shutdown)
        where = stack.enter_context(folder("da"))
        write_text(
            f"{where}/main.cf",
            "compatibility_level = 3.6\nmyhostname = mx.test.example\nmydestination =\n"
            "virtual_mailbox_domains = example.org\nvirtual_transport = lmtp:unix:/cyrus\n"
            f"virtual_alias_domains =\nvirtual_alias_maps = tcp:{LOOPBACK}:{port}\n",
        )
        scope: Tables = {"scope": {"domains": [], "postfix": where}}
        yield stack.enter_context(attacked(scope)), table


def waits(interface: PolicyInterface, seconds: float) -> list[float]:
    """How long a good recipient's answers take, in microseconds, sorted."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.perf_counter()
        assert interface.ask(FRED) == b"DUNNO"
        found.append((time.perf_counter() - before) * _MICRO)
        time.sleep(1 / _PACE)
    return sorted(found)


async def attack(path: str, rate: float, seconds: float) -> Counter[str]:
    """Ask about unknown recipients; what was answered, by its first words."""
    told: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = 0

    async def client(number: int) -> None:
        nonlocal asked
        reader, writer = await asyncio.open_unix_connection(path)
        while loop.time() < began + seconds:
            due = began + asked / rate
            asked += 1
            recipient = b"x%d.%d@example.org" % (number, asked)
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(_QUESTION % (asked, recipient))
            answer = await reader.readuntil(b"\n\n")
            told[" ".join(answer.decode().removeprefix("action=").split()[:2])] += 1
        writer.close()

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return told


def _attacker(path: str, rate: float, seconds: float) -> None:
    """The attack's own process: print what was answered."""
    print("begun", flush=True)
    for answer, count in asyncio.run(attack(path, rate, seconds)).most_common():
        print(f"{count} {answer}")


def measure(rate: float, seconds: float, delay: float) -> None:
    """One attack, and what came of it."""
    processors = sorted(os.sched_getaffinity(0))
    with (
        slow_site(delay) as (managed, table),
        closing(PolicyInterface(managed.path("policy"))) as interface,
    ):
        place(managed, processors)
        core = managed.pid("core")
        with before_attackers():
            usual = waits(interface, seconds / 2)
        spent = _cpu(core)
        words = ["--attack", managed.path("policy"), str(rate), str(seconds)]
        argv = [sys.executable, "-m", "tests.faults.dictionary", *words]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as attacker:
            assert attacker.stdout is not None
            attacker.stdout.readline()
            with before_attackers():
                under = waits(interface, seconds - 0.5)
            told = attacker.stdout.read().strip().replace("\n", "; ")
        own, programs = (after - before for after, before in zip(_cpu(core), spent, strict=True))
        print(f"witness, us: p50 {at(usual, 0.5):.0f} p99 {at(usual, 0.99):.0f} before; ", end="")
        print(
            f"p50 {at(under, 0.5):.0f} p99 {at(under, 0.99):.0f} max {under[-1]:.0f} attacked; ",
            end="",
        )
        print(f"p99 ratio {at(under, 0.99) / at(usual, 0.99):.2f}")
        print(f"attackers were told: {told}")
        print(
            f"look-ups {table.asked} in {seconds:g} s; CPU of the core {own / seconds:.1%}, ",
            end="",
        )
        print(f"of the programs that it starts {programs / seconds:.1%}; ", end="")
        print(f"its peak {peak_kib(core) // 1024} MiB, before {managed.usual[core] // 1024} MiB")


def _cpu(pid: int) -> tuple[float, float]:
    """Seconds of CPU of a process, and of its children that have ended (proc(5), stat)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    own, children = fields[11:13], fields[13:15]
    return sum(map(int, own)) / ticks, sum(map(int, children)) / ticks


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--attack"]:
        _attacker(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
        return
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rate", type=float, default=1000.0)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--delay", type=float, default=0.2)
    chosen = options.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    measure(chosen.rate, chosen.seconds, chosen.delay)


if __name__ == "__main__":
    main()
