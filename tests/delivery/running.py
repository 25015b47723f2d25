"""Many trials at once, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.delivery.trial import Trial, trial
from tests.rigs.debian import Root
from tests.rigs.gateway import Tables

# Of one store.
RECIPIENTS = 1500


def trials(
    recipients: int, seed: int, jobs: int, root: Root | None, answers: str = ""
) -> Iterator[Trial]:
    """Trials of one seed after the other until there were so many recipients.

    `jobs` run at once; `answers` is the authority that the gateway is asked for.
    """
    tables: Tables = {"": {"answers": answers}} if answers else {}
    done = 0
    with ProcessPoolExecutor(jobs) as pool:
        running: set[Future[Trial]] = set()
        while done < recipients:
            while len(running) < jobs:
                running.add(pool.submit(trial, seed, RECIPIENTS, root, tables))
                seed += 1
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                done += future.result().recipients
                yield future.result()
        for future in running:
            yield future.result()
