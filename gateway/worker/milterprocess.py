"""The milter's process: a core that serves the milter's sockets, under a name that ps(1) shows."""

from __future__ import annotations

import sys

from gateway.supervisor.processes import MILTER
from gateway.worker import core

if __name__ == "__main__":
    sys.exit(core.main(MILTER.module))
