"""Whose certificates count: revoked ones, those of other names, and files that are being renewed."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.upstream import tls
from gateway.upstream.crl import next_updates
from gateway.upstream.tls import TlsFiles, client_context, load_crl, server_context
from tests.rigs.certificates import Authority, Pair
from tests.rigs.processes import run
from tests.support.tls_talk import NAME, Certificates, Talk


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once."""
    return Certificates(str(tmp_path_factory.mktemp("certificates")))


def test_a_revoked_client_is_refused_and_a_newer_list_counts(tmp_path: Path) -> None:
    """From the start, and loaded while the server serves."""
    ours = Authority(str(tmp_path), "ca")
    server, good, bad = (ours.sign(name, f"DNS:{NAME}") for name in ("server", "good", "bad"))
    crl = ours.revoke(bad, age=1)
    context = server_context(
        TlsFiles(certificate=server.certificate, key=server.key, crl=crl, ca=ours.pair.certificate),
        verify_clients=True,
    )

    def complaints(pair: Pair) -> list[str]:
        client = client_context(
            TlsFiles(certificate=pair.certificate, key=pair.key, ca=ours.pair.certificate)
        )
        talk = Talk(context, client)
        with contextlib.suppress(ssl.SSLError):
            talk.handshake()
        return talk.complaints

    assert complaints(good) == []
    assert complaints(bad) == ["TLS: certificate revoked"]
    newer = Path(ours.revoke(good, bad)).read_bytes()
    load_crl(context, crl, newer, datetime.now(UTC))
    assert complaints(good) == ["TLS: certificate revoked"]


def test_a_list_that_has_expired_is_an_error(tmp_path: Path) -> None:
    """And so is one in the place of the authority, and a file that is none."""
    ours = Authority(str(tmp_path), "ca")
    crl = ours.revoke()
    data = Path(crl).read_bytes()
    later = datetime.now(UTC) + timedelta(days=2)
    (last,) = next_updates(data)
    assert last is not None
    load_crl(ssl.create_default_context(), crl, data, last - timedelta(seconds=1))
    for moment in (last, later):
        with pytest.raises(ConfigurationError, match=r"tls\.crl: .* has expired on 2"):
            load_crl(ssl.create_default_context(), crl, data, moment)
    certificate = Path(ours.pair.certificate)
    with pytest.raises(
        ConfigurationError, match=r"holds no list of revoked .* in PEM: no X509 CRL"
    ):
        client_context(TlsFiles(ca=ours.pair.certificate, crl=ours.pair.certificate))
    certificate.write_bytes(certificate.read_bytes() + data)
    with pytest.raises(ConfigurationError, match=r"tls\.ca: .* name that in crl"):
        client_context(TlsFiles(ca=ours.pair.certificate))


def test_what_was_found_good_is_used_whatever_the_files_hold_now(tmp_path: Path) -> None:
    """A process that starts while they are renewed has the old pair."""
    ours = Authority(str(tmp_path), "ca")
    pair = ours.sign("server", f"DNS:{NAME}")
    files = TlsFiles(certificate=pair.certificate, key=pair.key, ca=ours.pair.certificate)
    contents = {path: tls.read(option, path) for option, path in files.options}
    Path(pair.key).write_text("half of")
    with pytest.raises(ConfigurationError):
        server_context(files, verify_clients=True)
    again = TlsFiles(
        certificate=pair.certificate, key=pair.key, ca=ours.pair.certificate, contents=contents
    )
    server_context(again, verify_clients=True)


def test_a_name_in_the_subject_alone_is_no_hosts_name(tmp_path: Path) -> None:
    """Python's default would take it where there is no subjectAltName."""
    ours = Authority(str(tmp_path), "ca")
    assert not client_context(TlsFiles(ca=ours.pair.certificate)).hostname_checks_common_name


@pytest.mark.parametrize(
    ("names", "may"), [((), True), (("client.example.org",), True), (("mx",), False)]
)
def test_only_clients_with_one_of_the_names_may_come(
    certificates: Certificates, names: tuple[str, ...], may: bool
) -> None:
    """By the subjectAltName; the others hear nothing, and the log names those that they are for."""
    server = server_context(certificates.files(certificates.server), verify_clients=True)
    client = client_context(certificates.files(certificates.client))
    talk = Talk(server, client, names=names)
    with contextlib.suppress(ssl.SSLError):
        talk.handshake()
    assert talk.session.finished is not may
    assert bool(talk.complaints) is not may
    if not may:
        assert "client.example.org" in talk.complaints[0]


def test_a_name_in_the_subject_is_not_a_hosts(tmp_path: Path) -> None:
    """A certificate says for which hosts it is in its subjectAltName alone (RFC 9525)."""
    ours = Authority(str(tmp_path), "ca")
    pair = ours.sign(NAME, "email:postmaster@example.org")
    files = TlsFiles(certificate=pair.certificate, key=pair.key)
    client = client_context(TlsFiles(ca=ours.pair.certificate))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        Talk(server_context(files, verify_clients=False), client).handshake()


@pytest.mark.parametrize("verify", [True, False])
def test_a_client_that_has_to_show_a_certificate_shows_it_each_time(
    certificates: Certificates, verify: bool
) -> None:
    """It gets no ticket for a session that it could resume: it may be revoked by then."""
    talk = Talk(
        server_context(certificates.files(certificates.server), verify_clients=verify),
        client_context(certificates.files(certificates.client)),
    )
    talk.handshake()
    talk.exchange()
    talk.read()
    session = talk.tls.session
    assert session is not None
    assert session.has_ticket is not verify


def test_why_a_pair_cannot_be_used(certificates: Certificates, tmp_path: Path) -> None:
    """In OpenSSL's words, or in ours where the key has a password."""
    key = str(tmp_path / "locked.key")
    pair = certificates.server
    run(["openssl", "ec", "-in", pair.key, "-aes256", "-passout", "pass:x", "-out", key])
    with pytest.raises(ConfigurationError, match="cannot be used: the key has a password;"):
        client_context(TlsFiles(certificate=pair.certificate, key=key))
    with pytest.raises(ConfigurationError, match=r"in PEM: NO_CERTIFICATE_OR_CRL_FOUND$"):
        client_context(TlsFiles(ca=key))
