"""A million mailboxes on PostgreSQL and on MariaDB: `python -m tests.bench.million [COUNT]`.

For each: how long a start, the first unknown and the first known recipient
take, what a core then holds, 16 clients of whose recipients a third is unknown and
a third is blocked, and the same while a dump is restored.  The last column of a row must be 0: no
recipient with a mailbox was refused, and nobody else let in.

Limits: server, gateway and clients, which are threads of one Python, share
the machine; the rate is a floor.
"""

from __future__ import annotations

import os
import sys
import time

from tests.rigs import sqlload
from tests.rigs.folders import folder
from tests.rigs.sqlservers import MariaDb, Postgres, SqlServer

COUNT = 1_000_000
CLIENTS = 16
SECONDS = 10.0


def main(words: list[str]) -> int:
    """Measure both; the exit code tells whether a verdict was wrong."""
    count = int(words[0]) if words else COUNT
    print(
        f"{count} mailboxes, {CLIENTS} clients, a third of the recipients unknown, a third blocked"
    )
    wrong = 0
    for make in (Postgres, MariaDb):
        wrong += measure(make, count)
    return 1 if wrong else 0


def measure(make: type[SqlServer], count: int) -> int:
    """The rows of one server; how many verdicts were wrong."""
    with make() as server, folder("sql") as path:
        server.start()
        with sqlload.site(server, count, path) as site:
            start = _timed(site.gateway.start)
            unknown = _timed(lambda: site.ask(b"nobody"))
            known = _timed(lambda: site.ask(b"user77"))
            memory = site.core_kib() / 1024
            print(
                f"{server.program}: ready in {start:.2f} s, first unknown {unknown * 1000:.0f} ms,"
                f" first known {known * 1000:.0f} ms, core {memory:.0f} MiB",
                flush=True,
            )
            with site.load(CLIENTS) as load:
                time.sleep(SECONDS)
            _row(server, "alone", load, SECONDS, site)
            wrong = sum(load.wrong().values())
            dump = os.path.join(server.folder, "dump.sql")
            server.dump(dump)
            with site.load(CLIENTS) as load:
                time.sleep(1.0)
                seconds = _timed(lambda: server.restore(dump))
                time.sleep(1.0)
            _row(server, f"restore of {seconds:.0f} s", load, seconds + 2.0, site)
            return wrong + sum(load.wrong().values())


def _row(
    server: SqlServer, what: str, load: sqlload.Load, seconds: float, site: sqlload.Site
) -> None:
    rate = load.told.total() / seconds
    print(
        f"{server.program}, {what}: {rate:.0f} answers/s, slowest {load.slowest:.2f} s,"
        f" core {site.core_kib() / 1024:.0f} MiB, TEMP {load.temporary()},"
        f" wrong {sum(load.wrong().values())}",
        flush=True,
    )


def _timed(action: object) -> float:
    assert callable(action)
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
