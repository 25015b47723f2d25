"""What the processes that serve have in common: their start, their end, what they say of defects.

`run` gives a process its supervisor and the settings that were validated, with
what the files of certificates held then: a renewal that is in progress does not
keep a process from starting again.  What ends it is told to the supervisor.

No gevent and no threads: a process on libmilter's starts here, too.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from typing import TYPE_CHECKING

from gateway.config import loads
from gateway.errors import ConfigurationError
from gateway.observability.logging import setup
from gateway.server import nomemory
from gateway.supervisor.channel import supervised
from gateway.worker import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import Settings
    from gateway.supervisor.channel import Supervised

_log = logging.getLogger(__name__)


def run(module: str, serve: Callable[[Supervised, Settings], int]) -> int:
    """`serve` as a child of the supervisor; the exit code.  `module` names the program."""
    parent = supervised(os.environ)
    if parent is None:
        print(f"{module} is started by `smmapd-gateway serve`", file=sys.stderr)
        return os.EX_USAGE
    try:
        settings = dataclasses.replace(
            loads(parent.configuration, "gateway.toml"), tls_contents=parent.files
        )
        setup.configure(settings.logging)
        nomemory.end_threads(parent.out_of_memory)
        return serve(parent, settings)
    except ConfigurationError as error:
        parent.failed(str(error))
        return os.EX_CONFIG
    except OSError as error:
        few = descriptors.too_many(error)
        if few is None:
            raise
        parent.failed(str(few))
        return os.EX_CONFIG
    except MemoryError:
        parent.out_of_memory()


def asking_failed(error: BaseException) -> None:
    """Tell the log of an unexpected exception of a question to others."""
    _log.error("defect while asking another server: %r", error)
