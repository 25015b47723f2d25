"""The table [tls]: certificates, of this gateway and of those that it talks to."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import TlsVersion
from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.types import boolean, choice, file_path, host_names


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """What is shown to peers, and what is asked of them."""

    certificate: str = setting(
        file_path(empty="empty: none"),
        default="",
        description="The certificate that this gateway shows, with its chain, in PEM. A socket "
        "that listens with TLS needs one; servers are shown it if they ask for one.",
        example='"/etc/smmapd/gateway.crt"',
    )
    key: str = setting(
        file_path(empty="empty: in the file of the certificate"),
        default="",
        description="Its private key, in PEM, without a password, readable by the user that the "
        "gateway runs as.",
        example='"/etc/smmapd/gateway.key"',
    )
    ca: str = setting(
        file_path(empty="empty: the system's"),
        default="",
        description="The certificates of the authorities that sign for our peers, in PEM. A "
        "server's certificate must be signed by one of them and be valid for the host that `store` "
        "names; a client's must be signed by one of them.",
        example='"/etc/smmapd/ca.crt"',
    )
    crl: str = setting(
        file_path(empty="empty: none is heeded"),
        default="",
        description="Lists of revoked certificates, in PEM: one of each signer in `ca` whose "
        "certificates peers show. A peer that is on its signer's list, or whose signer has none "
        "there, is refused. The file is read again when it has changed; a list that has "
        "expired is an error, because no peer can be checked against it.",
        example='"/etc/smmapd/revoked.crl"',
    )
    client_names: tuple[str, ...] = setting(
        host_names(),
        default=(),
        description="Which clients may connect to a socket that listens with TLS, by the DNS names "
        "in their certificates (subjectAltName). If it is empty, every client whose certificate "
        "`ca` has signed may connect, so `ca` should be an authority of your own.",
        example='["mx1.example.org", "mx2.example.org"]',
    )
    verify_clients: bool = setting(
        boolean(),
        default=True,
        description="Whether clients of a socket that listens with TLS must show a certificate "
        "signed by `ca`, which must then be set.",
        example="false",
    )
    minimum: TlsVersion = setting(
        choice(TlsVersion),
        default=TlsVersion.TLS_1_2,
        description="The oldest version of TLS that is spoken.",
        example='"1.3"',
    )


SECTION = Section(
    name="tls",
    title="TLS between gateways",
    description="For sockets that listen with `?tls=yes` and for stores `socketmap+tls://`. The "
    "files are read at start and, like everything else, on SIGHUP; if one is wrong, the "
    "old configuration stays in force. A process that is started again later gets what was read "
    "then, so that a renewal takes effect with the next SIGHUP.",
    build=TlsSettings,
    declarations=declarations_of(TlsSettings),
)
