"""One gateway for the tests that only look; those that break something start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rigs.adminpage import Site, running
from tests.rigs.folders import folder


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """A gateway that nobody disturbs."""
    with folder("admin") as path, running(path) as made:
        yield made


@pytest.fixture
def own_site() -> Iterator[Site]:
    """A gateway of the test's own."""
    with folder("admin") as path, running(path) as made:
        yield made
