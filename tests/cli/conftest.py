"""A site for each test."""

from __future__ import annotations

import os

import pytest

from tests.rigs.commandline import Site, make_site


@pytest.fixture
def site(tmp_path: os.PathLike[str]) -> Site:
    """The site of `make_site` in a folder of its own."""
    return make_site(str(tmp_path))
