"""The short way of unknown recipients (`plain`) says what a full look does, of any bytes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import AUTHORITIES, Verifier
from tests.stores import FlatStore, record

# What means something somewhere on the way from an address to a key, and letters.
BYTES = b'ab@@@.+!^\x1d\x1f\0 "\\[]1:,\xe9\r\n\t/-_<>()'
DRAWN = 2500
OPTIONS: list[dict[str, str]] = [
    {},
    {"virtdomains": "userid", "defaultdomain": "a"},
    {"virtdomains": "on", "defaultdomain": "A", "postuser": "a@b"},
    {"lmtp_strict_rfc2821": "no", "postuser": "b"},
    {"unixhierarchysep": "no", "lmtp_downcase_rcpt": "no"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("authority", AUTHORITIES)
def test_who_is_absent_by_the_short_way_does_not_exist(
    tmp_path: Path, authority: str, options: dict[str, str]
) -> None:
    """Neither `fred@` nor any other odd address has two answers."""
    flat = FlatStore(str(tmp_path), {b"user.fred": record()}, options=options)
    flat.write()
    conf = imapdconf.load(flat.conf_path, "smmap")
    engine = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=authority)
    random = Random(1)
    drawn = [bytes(random.choices(BYTES, k=random.randrange(1, 8))) for _ in range(DRAWN)]
    asked = [b"nobody", b"nobody@", *drawn]
    plain = {each for each in asked if engine.authority.plain(each) is not None}
    assert plain or options.get("lmtp_downcase_rcpt") == "no"
    for address in plain:
        outcome = engine.decide(Query(address))
        assert isinstance(outcome, Verdict)
        assert outcome.kind is Kind.NONEXISTENT, address
