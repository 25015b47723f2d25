"""pymilter that is not there, or not good enough."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from gateway.errors import ConfigurationError
from gateway.server import pymilter


def test_it_is_there() -> None:
    """`make venv` brings it."""
    assert pymilter.load().getversion() >= (1, 0, 0)


def test_one_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install, and what needs nothing."""
    monkeypatch.setitem(sys.modules, "milter", None)
    with pytest.raises(ConfigurationError) as found:
        pymilter.load()
    for word in ("python3-milter", "pip install pymilter", 'library = "builtin"', "milter.library"):
        assert word in str(found.value)


def test_one_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what it lacks."""
    old = ModuleType("milter")
    for name in ("error", "main", "register", "set_exception_policy", "setconn", "settimeout"):
        setattr(old, name, None)
    monkeypatch.setitem(sys.modules, "milter", old)
    with pytest.raises(ConfigurationError, match="has no M_CONNECT, NOREPLY, P_NR_CONN, SETSYM"):
        pymilter.load()
