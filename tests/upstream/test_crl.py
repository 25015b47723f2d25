"""Until when a list of revoked certificates holds, as openssl(1) has written it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream import crl
from tests.rigs.certificates import Authority


@pytest.mark.parametrize("hours", [1, 24 * 365 * 40])
def test_the_next_update_is_what_openssl_wrote(tmp_path: Path, hours: int) -> None:
    """With and without revoked certificates, in both forms of a time."""
    authority = Authority(str(tmp_path), "ca")
    data = Path(authority.revoke(authority.sign("one", "DNS:a"), hours=hours)).read_bytes()
    data += Path(authority.revoke(hours=hours)).read_bytes()
    wanted = datetime.now(UTC) + timedelta(hours=hours)
    found = crl.next_updates(data)
    assert len(found) == 2
    for moment in found:
        assert moment is not None
        assert abs(moment - wanted) < timedelta(minutes=10)
    assert crl.is_in(data)


def _pem(der: bytes) -> bytes:
    lines = base64.encodebytes(der)
    return b"-----BEGIN X509 CRL-----\n" + lines + b"-----END X509 CRL-----\n"


@pytest.mark.parametrize(
    "data",
    [b"", b"-----BEGIN CERTIFICATE-----\n", _pem(b"\x30"), _pem(b"\x30\x03\x30\x01\x02")],
)
def test_what_is_none_is_an_error(data: bytes) -> None:
    """Whatever else it is."""
    with pytest.raises(ValueError, match="CRL"):
        crl.next_updates(data)


@given(st.binary(max_size=80))
def test_any_bytes(der: bytes) -> None:
    """Raise nothing else."""
    try:
        crl.next_updates(_pem(der))
    except ValueError:
        return
