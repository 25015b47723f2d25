"""What a process does that has run out of memory: it ends, and its parent starts another.

An event loop prints the error and goes on without the callback that it struck: its client never
gets an answer.  Printing alone can run out of memory again.  A thread ends, and its work is
not done any more.  So the first thing that happens is the end.

What `end` does must need no memory that was not set aside before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    from collections.abc import Callable


def end_loop(end: Callable[[], Never]) -> None:
    """Have `end` called where a callback or a greenlet of this thread's loop has no memory."""
    import gevent  # noqa: PLC0415  (the process of libmilter's threads has no loop)

    hub = gevent.get_hub()
    usual = hub.handle_error

    def handle_error(context: Any, kind: Any, error: Any, trace: Any) -> None:
        if kind is MemoryError or isinstance(error, MemoryError):
            end()
        usual(context, kind, error, trace)

    hub.handle_error = handle_error


def end_threads(end: Callable[[], Never]) -> None:
    """Have `end` called where a thread of this process has no memory."""
    usual = threading.excepthook

    def excepthook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is MemoryError:
            end()
        usual(args)

    threading.excepthook = excepthook
