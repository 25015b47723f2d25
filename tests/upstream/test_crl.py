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
def test_no_der_raises_anything_but_a_value_error(der: bytes) -> None:
    """Whatever the bytes are."""
    try:
        crl.next_updates(_pem(der))
    except ValueError:
        return


SEQUENCE, INTEGER, UTC_TIME, OTHER = 0x30, 0x02, 0x17, 0xA0
VERSION = bytes((INTEGER, 1, 1))
THIS, NEXT = (bytes((UTC_TIME, 13)) + text for text in (b"260101000000Z", b"500101000000Z"))


def _element(tag: int, *parts: bytes, count: int = 0) -> bytes:
    """An element; its length in the long form of `count` bytes."""
    body = b"".join(parts)
    if count:
        return bytes((tag, 0x80 | count)) + len(body).to_bytes(count, "big") + body
    return bytes((tag, len(body))) + body


ALGORITHM = _element(SEQUENCE, b"\x06\x01\x2a")
REVOKED = _element(SEQUENCE, _element(SEQUENCE, VERSION, THIS))


def _list(*fields: bytes, rest: bytes = ALGORITHM, count: int = 0) -> bytes:
    """A list whose first part has these fields."""
    return _element(SEQUENCE, _element(SEQUENCE, *fields, count=count), rest, count=count)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
@pytest.mark.parametrize("version", [b"", VERSION])
@pytest.mark.parametrize("rest", [b"", ALGORITHM])
def test_what_says_no_next_update_has_none(version: bytes, rest: bytes, count: int) -> None:
    """A date behind those two is of something else."""
    start = (version, ALGORITHM, ALGORITHM, THIS)
    for fields in (start, (*start, REVOKED), (*start, REVOKED, NEXT)):
        assert crl.next_updates(_pem(_list(*fields, rest=rest, count=count))) == [None]
    told = crl.next_updates(_pem(_list(*start, NEXT, REVOKED, rest=rest, count=count)))
    assert told == [datetime(1950, 1, 1, tzinfo=UTC)]


def test_years_of_two_digits() -> None:
    """Up to 49 they are of this century."""
    last = bytes((UTC_TIME, 13)) + b"491231235959Z"
    told = crl.next_updates(_pem(_list(VERSION, ALGORITHM, ALGORITHM, THIS, last)))
    assert told == [datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)]


GOOD_DER = _list(VERSION, ALGORITHM, ALGORITHM, THIS, NEXT)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (_pem(_list(VERSION, ALGORITHM, ALGORITHM, bytes((OTHER, 0)), THIS)), "it has no date"),
        (_pem(_list(VERSION, ALGORITHM, ALGORITHM)), "it has no date"),
        (_pem(GOOD_DER[:-1]), "it is cut off"),
        (_pem(bytes((SEQUENCE, 0x80)) + GOOD_DER[2:]), "a length of an unknown form"),
        (_pem(_list(VERSION, THIS, count=5)), "a length of an unknown form"),
        (_pem(_element(INTEGER, GOOD_DER)), "another element than a sequence"),
        (_pem(GOOD_DER) + _pem(b"\x30"), "list 2 is not a CRL"),
        (b"-----BEGIN X509 CRL-----\nA\n-----END X509 CRL-----\n", "list 1 is not base64"),
        (_pem(GOOD_DER) * (crl.MAX_LISTS + 1), f"more than {crl.MAX_LISTS} lists"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, problem: str) -> None:
    """Of which list, and what."""
    with pytest.raises(ValueError, match=problem):
        crl.next_updates(data)


def test_as_many_lists_as_may_be() -> None:
    """The last one counts."""
    assert len(crl.next_updates(_pem(GOOD_DER) * crl.MAX_LISTS)) == crl.MAX_LISTS
