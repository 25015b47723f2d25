"""In which order the addresses of a server are tried, and which replies of LMTP are for ever."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from gateway.protocols.lmtp import LmtpReply
from gateway.upstream.connection import MAX_ADDRESSES, _alternating
from gateway.upstream.lmtpclient import _is_final

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("families", "order"),
    [
        ([], []),
        ([V4], [0]),
        ([V6, V6, V4], [0, 2, 1]),
        ([V4, V4, V4, V6, V6], [0, 3, 1, 4, 2]),
        ([V6, V4, V4, V4], [0, 1, 2, 3]),
        ([V4] * (MAX_ADDRESSES + 1), list(range(MAX_ADDRESSES))),
    ],
)
def test_families_take_turns(families: list[int], order: list[int]) -> None:
    """The first one first: where one of them leads nowhere the other is not far (RFC 8305)."""
    found: Any = [(family, number) for number, family in enumerate(families)]
    mixed: list[Any] = _alternating(found)
    assert [number for _, number in mixed] == order


@pytest.mark.parametrize(
    ("code", "final"), [(250, False), (450, False), (499, False), (500, True), (599, True)]
)
def test_which_replies_are_for_ever(code: int, final: bool) -> None:
    """Those of the fifth hundred (RFC 5321, 4.2.1)."""
    assert _is_final(LmtpReply(code, b"", ())) is final
