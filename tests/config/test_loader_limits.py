"""gateway.toml beyond what Python's TOML reader takes."""

from __future__ import annotations

import pytest

from gateway import config
from gateway.config import ConfigurationErrors

FILE = "/etc/smmapd/gateway.toml"

TOO_LONG = "has a number that is too long to be read; no setting needs more than twenty digits"
TOO_DEEP = " has too many brackets within each other; no setting needs more than two"
TOO_MUCH = [
    (f"# fine\nworkers = {'9' * 5000}\n", f"2: {TOO_LONG}"),
    (f"workers = -{'1_000_' * 2000}0\n", f"1: {TOO_LONG}"),
    (f"workers = {'[' * 2000}{']' * 2000}\n", TOO_DEEP),
    (f"workers = {'[' * 2000}\n", TOO_DEEP),
    (f"workers = {'{a=' * 2000}1{'}' * 2000}\n", TOO_DEEP),
]


@pytest.mark.parametrize(("text", "message"), TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_what_pythons_reader_does_not_take_is_a_problem_like_others(
    text: str, message: str
) -> None:
    """ValueError and RecursionError would end a gateway that is told to reload."""
    with pytest.raises(ConfigurationErrors) as caught:
        config.loads(text.encode(), FILE)
    assert str(caught.value) == f"{FILE}:{message}"
