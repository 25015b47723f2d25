"""contrib/tls/ca.sh: what it makes is what two gateways take, until it revokes it."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.upstream.tls import TlsFiles, client_context, load_crl, server_context
from tests.rigs.processes import RigError, run
from tests.support.blocks import pasted
from tests.support.snippets import CONTRIB
from tests.support.tls_talk import NAME, Talk

SCRIPT = str(CONTRIB / "tls" / "ca.sh")


def files(folder: Path, name: str) -> TlsFiles:
    """The table [tls] of the gateway `name`."""
    return TlsFiles(
        certificate=str(folder / f"{name}.crt"),
        key=str(folder / f"{name}.key"),
        ca=str(folder / "ca.crt"),
        crl=str(folder / "ca.crl"),
    )


def test_two_gateways_take_each_other_until_one_is_revoked(tmp_path: Path) -> None:
    """Names of both kinds; keys are for their owner, and an old list goes on counting."""
    folder = tmp_path / "ca"
    run([SCRIPT, str(folder), "init"])
    run([SCRIPT, str(folder), "sign", "backend", f"DNS:{NAME}", "IP:192.0.2.1"])
    run([SCRIPT, str(folder), "sign", "mx", "DNS:mx.example.org"])
    server = server_context(files(folder, "backend"), verify_clients=True)

    def complaints() -> list[str]:
        talk = Talk(server, client_context(files(folder, "mx")), names=["mx.example.org"])
        with contextlib.suppress(ssl.SSLError):
            talk.handshake()
        return talk.complaints

    assert complaints() == []
    for key in folder.glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
    run([SCRIPT, str(folder), "revoke", "mx"])
    server = server_context(files(folder, "backend"), verify_clients=True)
    assert complaints() == ["TLS: certificate revoked"]
    run([SCRIPT, str(folder), "crl"])
    load_crl(server, "ca.crl", (folder / "ca.crl").read_bytes(), datetime.now(UTC))
    assert complaints() == ["TLS: certificate revoked"]


def test_the_documents_commands_make_both_pairs(tmp_path: Path) -> None:
    """docs/past-one-machine.md, in another folder: certificates of one authority, by their names."""
    for command in pasted("authority"):
        program, folder, *words = command.split()
        assert program == "ca.sh"
        run([SCRIPT, f"{tmp_path}{folder}", *words])
    made = tmp_path / "etc/ssl/gateways"
    for name in ("store", "mx1"):
        server_context(files(made, name), verify_clients=True)
        words = ["-CAfile", str(made / "ca.crt"), "-verify_hostname", f"{name}.example.org"]
        run(["openssl", "verify", *words, str(made / f"{name}.crt")])


@pytest.mark.parametrize(
    "words", [[], ["sign"], ["sign", "mx"], ["revoke", "nobody"], ["other"], ["init"]]
)
def test_what_cannot_be_done_is_told(tmp_path: Path, words: list[str]) -> None:
    """And changes nothing."""
    folder = tmp_path / "ca"
    run([SCRIPT, str(folder), "init"])
    before = sorted(folder.iterdir())
    with pytest.raises(RigError, match=r"ca\.sh: "):
        run([SCRIPT, str(folder), *words])
    assert sorted(folder.iterdir()) == before
