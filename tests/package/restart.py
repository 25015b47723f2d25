"""How long a restart takes, and how long nobody is answered meanwhile, under a real systemd.

    python -m tests.package.restart [bookworm|trixie] [TIMES]

The package as it is installed, all three front ends on.  A client for each front
end asks on a new connection every few milliseconds; `away` is the time from the
last answer before a restart to the first behind it.  `systemctl restart` returns
when systemd has been told that the gateway is ready.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tests.package.conftest import build
from tests.package.site import FRED, MILTER, QUEUE, UNIT, Site, prepared
from tests.rigs.clients import INTERFACES
from tests.rigs.debian import DEBIAN_12
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.processes import RigError

SOCKETMAP = f'"unix:{QUEUE}/socketmap?mode=0660&group=postfix"'
POLICY = f'"unix:{QUEUE}/policy?mode=0660&group=postfix"'
# Between two questions of a client: what it may be wrong by.
PACE_S = 0.003
TIMES = 20


def _ask_milter(path: str) -> None:
    with MilterClient(path) as mta:
        mta.connect()
        mta.mail()
        assert mta.rcpt(b"<%b>" % FRED.encode()) == CONTINUE


def _ask(front_end: str, path: str) -> None:
    with INTERFACES[front_end](path) as client:
        client.ask(FRED.encode())


class Client(threading.Thread):
    """Asks until told to stop; keeps when it was answered."""

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__()
        self.answered: list[float] = []
        self._ask = ask
        self._over = threading.Event()

    def run(self) -> None:
        """A client that is refused or cut off asks again."""
        while not self._over.wait(PACE_S):
            try:
                self._ask()
            except (OSError, RigError):
                continue
            self.answered.append(time.monotonic())

    def longest_silence(self, since: float, until: float) -> float:
        """Seconds between two answers, the most from `since` to `until`."""
        times = [each for each in self.answered if since <= each <= until]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def _row(name: str, values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{name:24} {middle:.2f} s ({min(values):.2f} to {max(values):.2f}, {len(values)} times)"


def measure(site: Site, times: int) -> dict[str, list[float]]:
    """Seconds of each restart by what was measured."""
    site.configure(socketmap=SOCKETMAP, policy=POLICY, more=MILTER)
    code, said = site.systemctl("start", UNIT)
    assert code == 0, said + site.machine.journal(UNIT)
    found: dict[str, list[float]] = {"systemctl restart": []}
    folder = site.machine.root.path(QUEUE)
    asks: dict[str, Callable[[], None]] = {
        "socketmap": lambda: _ask("socketmap", os.path.join(folder, "socketmap")),
        "policy": lambda: _ask("policy", os.path.join(folder, "policy")),
        "milter": lambda: _ask_milter(os.path.join(folder, "milter")),
    }
    with ExitStack() as stack:
        clients = {name: stack.enter_context(Client(ask)) for name, ask in asks.items()}
        pause = threading.Event()
        for _ in range(times):
            # systemd counts starts; what it limits is not what is measured.
            site.machine.run("systemctl", "reset-failed", UNIT)
            began = time.monotonic()
            pause.wait(1)
            before = time.monotonic()
            site.machine.run("systemctl", "restart", UNIT)
            found["systemctl restart"].append(time.monotonic() - before)
            pause.wait(1)
            for name, client in clients.items():
                silence = client.longest_silence(began, time.monotonic())
                found.setdefault(f"{name} away", []).append(silence)
    return found


def main(words: Sequence[str]) -> int:
    """Print the table."""
    release = words[0] if words else DEBIAN_12
    times = int(words[1]) if len(words) > 1 else TIMES
    with (
        tempfile.TemporaryDirectory() as output,
        prepared(build(output), release) as site,
    ):
        for name, values in measure(site, times).items():
            print(_row(name, values))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
