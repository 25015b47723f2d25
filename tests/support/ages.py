"""Files that a test has just written, and that shall pass for old ones."""

from __future__ import annotations

import pytest

from gateway.cyrus.db import filetoken


def let_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the test had waited until the times of what it has written tell of any change."""
    monkeypatch.setattr(filetoken, "RACY_NS", 0)
    monkeypatch.setattr(filetoken, "RACY_FRACTION_NS", 0)
