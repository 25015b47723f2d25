"""Until when a list of revoked certificates holds: the little of X.509 that ssl does not tell.

A CRL is PEM around DER (RFC 5280, 5.1): SEQUENCE { SEQUENCE tbsCertList
{ [version], signature, issuer, thisUpdate, [nextUpdate], ... }, ... }.  Only
those fields are stepped over and read; whether the list is signed by the issuer that it
names is OpenSSL's to see.  Raises ValueError for bytes that are none.

Limits: at most MAX_LISTS lists in a file.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

MAX_LISTS = 64  # only a bound

_PEM = re.compile(
    rb"-----BEGIN X509 CRL-----\s+([A-Za-z0-9+/=\s]+?)-----END X509 CRL-----"
)  # RFC 7468, section 6
_SEQUENCE, _INTEGER = 0x30, 0x02
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
# RFC 5280, 4.1.2.5.1: two digits of a year below this are of the 21st century.
_CENTURY = 50


def is_in(pem: bytes) -> bool:
    """Whether there is a list in `pem`, a file of certificates for instance."""
    return b"-----BEGIN X509 CRL-----" in pem


def next_updates(pem: bytes) -> list[datetime | None]:
    """For each list in `pem` the moment by which there is to be a new one; None: it says none."""
    found = []
    for number, match in enumerate(_PEM.finditer(pem)):
        if number == MAX_LISTS:
            raise ValueError(f"more than {MAX_LISTS} lists")
        try:
            der = base64.b64decode(match[1])
        except binascii.Error as error:
            raise ValueError(f"list {number + 1} is not base64: {error}") from error
        try:
            found.append(_next_update(der))
        except (IndexError, ValueError) as error:
            raise ValueError(f"list {number + 1} is not a CRL: {error}") from error
    if not found:
        raise ValueError("no X509 CRL in PEM")
    return found


def _next_update(der: bytes) -> datetime | None:
    start, _ = _sequence(der, 0)
    position, end = _sequence(der, start)
    times: list[datetime] = []
    fields = 0  # same with 1: OpenSSL refuses it as no list
    while position < end:
        tag, start, after = _element(der, position)
        if tag in (_UTC_TIME, _GENERALIZED_TIME):
            times.append(_time(tag, der[start:after]))
        # same with >=: OpenSSL refuses it as no list
        elif times or (fields > 1 and tag != _SEQUENCE):
            break  # behind the times
        fields += tag != _INTEGER
        position = after
    if not times:
        raise ValueError("it has no date")
    return times[1] if len(times) > 1 else None


def _element(der: bytes, position: int) -> tuple[int, int, int]:
    """Tag, start and end of the contents of the element at `position`."""
    tag, length = der[position], der[position + 1]
    position += 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= 4:
            raise ValueError("a length of an unknown form")
        length = int.from_bytes(der[position : position + count], "big")
        position += count
    if position + length > len(der):
        raise ValueError("it is cut off")
    return tag, position, position + length


def _sequence(der: bytes, position: int) -> tuple[int, int]:
    """Start and end of the contents of the SEQUENCE at `position`."""
    tag, start, end = _element(der, position)
    if tag != _SEQUENCE:
        raise ValueError("another element than a sequence")
    return start, end


def _time(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii", "replace")
    if tag == _UTC_TIME:
        century = "20" if int(digits[:2]) < _CENTURY else "19"
        digits = century + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
