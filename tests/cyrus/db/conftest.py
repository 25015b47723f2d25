"""What tests of the twoskip reader share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.twoskip_disk import Disk


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """One file for all examples of a module."""
    made = Disk(str(tmp_path_factory.mktemp("twoskip") / "mailboxes.db"))
    yield made
    os.close(made.fd)
