"""Whether mail can be judged now, and if not why, a line for each reason.

A configuration that was refused is not a reason, because the old one serves; it
is noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.observability.status import REFUSED

if TYPE_CHECKING:
    from gateway.observability.metrics.exposition import View
    from gateway.observability.metrics.registry import ProcessState

_STATES = {
    "starting": "is starting",
    "waiting": "has ended and is about to be started again",
    "leaving": "is leaving",
}


def notes(view: View) -> Iterator[str]:
    """What is not as it should be, and keeps no mail from being judged."""
    if problem := view.gathered.reload.problem:
        yield f"{REFUSED}: {problem}"


def reasons(view: View, *, stopping: bool) -> Iterator[str]:
    """Why not: databases must be readable, sockets there, and each process must serve."""
    if stopping:
        yield "this process is stopping"
    for database in view.databases:
        if database.problem:
            yield f"database {database.name}: {database.problem}"
    yield from view.gathered.troubles
    wanted: dict[str, list[ProcessState]] = {}
    for process in view.gathered.processes:
        # After a reload the old ones leave when the new ones serve.
        if process.state != "leaving":
            wanted.setdefault(f"{process.name}[{process.index}]", []).append(process)
    if not wanted:
        yield "no process serves"
    for label, processes in wanted.items():
        if not any(each.state == "ready" for each in processes):
            yield f"{label} {_STATES[processes[-1].state]}"
