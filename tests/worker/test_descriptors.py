"""The limit of open files, and what of it is for clients."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from gateway.errors import ConfigurationError
from gateway.worker import descriptors
from tests.rigs.descriptors import open_descriptors


@pytest.mark.parametrize(
    ("limit", "clients"), [(64, 32), (512, 256), (1024, 768), (524288, 524032)]
)
def test_some_are_kept_back_for_databases(limit: int, clients: int) -> None:
    """A fixed number, or half of a few."""
    assert descriptors.for_clients(limit) == clients


def test_too_few_are_refused_with_the_limit() -> None:
    """What is open already counts."""
    in_use = open_descriptors()
    descriptors.require_enough(in_use + descriptors.FOR_ONE)
    with pytest.raises(ConfigurationError, match=f"{in_use} open files are too few: {in_use} are"):
        descriptors.require_enough(in_use)


def test_only_a_want_of_files_is_one() -> None:
    """Other errors of the system stay what they are."""
    assert descriptors.too_many(OSError(errno.ENOENT, "none")) is None
    found = descriptors.too_many(OSError(errno.EMFILE, "many"))
    assert found is not None
    assert "LimitNOFILE=" in str(found)
    of_all = descriptors.too_many(OSError(errno.ENFILE, "many"))
    assert of_all is not None
    assert "sysctl fs.file-max" in str(of_all)
    assert "LimitNOFILE=" not in str(of_all)


def test_the_soft_limit_becomes_the_hard_one() -> None:
    """And is told."""
    code = "from gateway.worker import descriptors; print(descriptors.raise_limit())"
    words = ["/usr/bin/prlimit", "--nofile=64:100", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    assert done.stdout == "100\n"
