"""A supervisor for tests: `python supervisor_program.py PLAN.json`.

The plan's file is read at start and at each reload:

    {"children": [{"name": ..., "behaviour": {...}, "listeners": [...], "count": 1}],
     "listeners": {"name": ["unix:/..."]}, "graceful_timeout": 1.0, "user": "", "group": ""}

With "defect" in it the loading itself fails, as nothing that is foreseen does.

Log lines go to standard error; the children are dummy_child.py.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from gateway.config import endpoints
from gateway.errors import ConfigurationError
from gateway.supervisor.supervisor import ChildSpec, Plan, Supervisor

CHILD = str(Path(__file__).parent / "dummy_child.py")


def load() -> Plan:
    """The plan of the file, or a ConfigurationError for one that is not JSON."""
    path = sys.argv[1]
    try:
        told = json.loads(Path(path).read_text())
    except ValueError:
        raise ConfigurationError("first problem\nsecond problem", file=path) from None
    if "defect" in told:
        raise RuntimeError(told["defect"])
    children = tuple(
        ChildSpec(
            name=each["name"],
            argv=(sys.executable, CHILD),
            listeners=tuple(each.get("listeners", ())),
            count=each.get("count", 1),
            configuration=json.dumps(each.get("behaviour", {})).encode(),
            silence_limit=each.get("silence_limit"),
            session_timeout=each.get("session_timeout", 0.0),
        )
        for each in told["children"]
    )
    listeners = {
        name: tuple(endpoints.parse(text) for text in texts)
        for name, texts in told.get("listeners", {}).items()
    }
    return Plan(
        children=children,
        listeners=listeners,
        graceful_timeout=told.get("graceful_timeout", 10.0),
        user=told.get("user", ""),
        group=told.get("group", ""),
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
    sys.exit(Supervisor(load, os.environ).run())
