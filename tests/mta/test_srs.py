"""Rewritten senders of forwarded mail."""

from __future__ import annotations

import pytest

from gateway.mta.srs import is_srs


@pytest.mark.parametrize(
    ("local", "srs"),
    [
        (b"SRS0=HHH=TT=x.test=joe", True),
        (b"srs1=HHH=y.test==HHH=TT=x.test=joe", True),
        (b"SRS0+HHH=TT=x.test=joe", True),
        (b"SRS0-HHH=TT=x.test=joe", True),
        (b"SRS0", False),
        (b"SRS0x", False),
        (b"SRS2=x", False),
        (b"xSRS0=x", False),
        (b"", False),
    ],
)
def test_tags_are_known_in_any_case_and_with_each_separator(local: bytes, srs: bool) -> None:
    """In any case, with each separator that libsrs2 knows."""
    assert is_srs(local) is srs
