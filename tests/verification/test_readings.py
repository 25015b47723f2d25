"""Addresses that may be read in two ways, to the authority "smmapd": which one counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.verifier import Verifier
from tests.stores import FlatStore, quota, record

_FULL = quota((20_000, 10))


def _verifier(folder: Path) -> Verifier:
    """Shared folders under one of two names, or both."""
    mailboxes = {
        b"user.zoe": record(),  # whose key tells which kind of keys the list has
        b"second&-AOQ-": record(b"anyone\tp"),
        b"seensecond&-AOQ-": record(b"anyone\tl"),
        b"fullseen&AOQ-": record(b"anyone\tp"),
        b"fullseen&-AOQ-": record(b"anyone\tl"),
        b"seenfull&AOQ-": record(b"anyone\tl"),
        b"seenfull&-AOQ-": record(b"anyone\tp"),
    }
    quotas = {b"fullseen&AOQ-": _FULL, b"seenfull&-AOQ-": _FULL}
    options = {"lmtp_over_quota_perm_failure": "yes"}
    flat = FlatStore(str(folder), mailboxes, quotas, options=options)
    flat.write()
    return Verifier.for_store(CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap"))


@pytest.mark.parametrize(
    ("recipient", "kind"),
    [
        (b"+second&AOQ-", Kind.DELIVERABLE),
        (b"+seensecond&AOQ-", Kind.NOT_POSTABLE),
        (b"+fullseen&AOQ-", Kind.OVER_QUOTA_PERMANENT),
        (b"+seenfull&AOQ-", Kind.NOT_POSTABLE),
    ],
)
def test_the_first_one_whose_mailbox_is_there_counts(
    tmp_path: Path, recipient: bytes, kind: Kind
) -> None:
    """Where none takes the mail; mupdate is asked only where there is no mailbox at all."""
    engine = _verifier(tmp_path)
    for engine.kicks_mupdate in (False, True):
        outcome = engine.decide(Query(recipient))
        assert isinstance(outcome, Verdict)
        assert outcome.kind is kind
    missing = engine.decide(Query(b"+neither&AOQ-"))
    assert isinstance(missing, Pending)
    engine.kicks_mupdate = False
    assert engine.verify(Query(b"+neither&AOQ-")).evidence.mailbox == b"neither&AOQ-"
