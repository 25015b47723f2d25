"""The socketmap column of the table of replies."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.frontends.socketmap_replies import MAX_PAYLOAD, ROWS, socketmap_payload
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Verdict
from tests.interfaces.kinds import expected


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("reason", [b"Account closed; call 555-1234", b"Zugriff f\xc3\xbcr"])
def test_a_reply_is_a_status_and_a_reason_or_the_key(kind: Kind, reason: bytes) -> None:
    """A reply is the kind's status and the verdict's reason, or OK and the key."""
    said = b"alice@example.org" if kind.accepts else reason
    payload = expected(kind).status + b" " + said
    assert socketmap_payload(Verdict(kind, reason), b"alice@example.org") == payload


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_has_a_text(kind: Kind) -> None:
    """A verdict without a reason gets a text all the same: Sendmail and Postfix need one."""
    payload = socketmap_payload(Verdict(kind, b""), b"key")
    status, blank, text = payload.partition(b" ")
    assert status in {b"OK", b"NOTFOUND", b"TEMP", b"PERM"}
    assert blank == b" "
    assert text


def test_table_is_complete() -> None:
    """The table has one row a kind, in the order of the kinds."""
    assert tuple(row[0] for row in ROWS) == KINDS


def test_long_reason_is_cut() -> None:
    """No reply is longer than what Postfix accepts."""
    payload = socketmap_payload(Verdict(Kind.DENIED, b"L" * 200_000), b"key")
    assert len(payload) == MAX_PAYLOAD
    assert payload.startswith(b"NOTFOUND LLL")


@pytest.mark.processes
def test_replies_need_no_slow_module() -> None:
    """Rendering a socketmap reply needs none of the slow standard modules."""
    program = (
        "import sys; sys.path.insert(0, '.');"
        "import gateway.frontends.socketmap_replies;"
        "print(sorted({'dataclasses', 're', 'enum', 'inspect', 'typing', 'logging'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("kind", [Kind.CREATED, Kind.CATCH_ALL], ids=str)
@pytest.mark.parametrize("key", [b"gmail.example", b"localhost", b"*", b"@gmail.example", b""])
def test_a_catch_all_finds_no_domain(kind: Kind, key: bytes) -> None:
    """Nor does a mailbox that would be made: the whole world might relay to it into us."""
    assert socketmap_payload(Verdict(kind, b""), key).startswith(b"NOTFOUND ")
    assert socketmap_payload(Verdict(kind, b""), b"fred@example.org") == b"OK fred@example.org"
