"""The tables [replies.*] of gateway.toml: what each kind of verdict is told."""

from __future__ import annotations

import pytest

from gateway import config
from gateway.config import Settings
from gateway.verification.kinds import KINDS, Kind

ON = '[socketmap]\nlisten = ["unix:/run/s"]\n'


def load(text: str) -> Settings:
    """The settings of a gateway.toml."""
    return config.loads(text.encode(), "/etc/smmapd/gateway.toml")


def test_every_kind_that_refuses_has_a_reply() -> None:
    """A key that is not set keeps the default of its kind."""
    loaded = load(ON + '[replies.over-quota]\ntext = "{recipient} is full"\n')
    assert set(loaded.replies) == {kind for kind in KINDS if not kind.accepts}
    full = loaded.replies[Kind.OVER_QUOTA]
    assert (full.code, full.enhanced, full.text) == (452, "4.2.2", "{recipient} is full")


@pytest.mark.parametrize(
    ("word", "code", "enhanced"), [("temporary", 452, "4.2.2"), ("permanent", 552, "5.2.2")]
)
def test_the_reply_to_a_too_large_mail_follows_size_check(
    word: str, code: int, enhanced: str
) -> None:
    """A permanent size check refuses with a permanent reply unless told otherwise."""
    loaded = load(f'size_check = "{word}"\n' + ON)
    reply = loaded.replies[Kind.SIZE_OVER_QUOTA]
    assert (reply.code, reply.enhanced) == (code, enhanced)
