"""What the event loop does besides the clients' questions."""

from __future__ import annotations

from pathlib import Path

from gateway.server.loophooks import LoopHooks
from tests.support.sites import Site


def test_the_first_look_is_made_before_anybody_asks(tmp_path: Path) -> None:
    """It is the longest: nobody waits for it."""
    cache = Site(tmp_path).cache
    assert cache.tick() == 0
    hooks = LoopHooks(cache, lambda: None)
    assert cache.tick() == 1
    assert cache._store_version.number == 1
    del hooks
