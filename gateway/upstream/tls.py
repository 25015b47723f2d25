"""TLS contexts from files of certificates, for both sides of a connection.

At least TLS 1.2 is spoken.  A client checks the server's certificate and that
it is valid for the host's name; a server may ask clients for one, too.  Files
are read when a context is made.  Raises ConfigurationError, which names the
option of gateway.toml.
"""

from __future__ import annotations

import ssl

from gateway.errors import ConfigurationError
from gateway.files import require_readable
from gateway.values import Value


class TlsFiles(Value):
    """Paths of PEM files, empty where there is none; `tls13_only` refuses TLS 1.2.

    `key` may be in the file of the certificate; an empty `ca` are the
    system's.
    """

    __slots__ = ("ca", "certificate", "key", "tls13_only")
    ca: str
    certificate: str
    key: str
    tls13_only: bool

    def __init__(
        self, *, certificate: str = "", key: str = "", ca: str = "", tls13_only: bool = False
    ) -> None:
        self._freeze(ca, certificate, key, tls13_only)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For connections to servers, whose certificate and host name are checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _prepare(context, files)
    if files.ca:
        _load_ca(context, files.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def server_context(files: TlsFiles, *, verify_clients: bool) -> ssl.SSLContext:
    """For connections from clients; with `verify_clients` they must show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, files)
    if verify_clients:
        _load_ca(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _prepare(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if files.tls13_only else ssl.TLSVersion.TLSv1_2
    if not files.certificate:
        return
    for option, path in (("tls.certificate", files.certificate), ("tls.key", files.key)):
        if path:
            _readable(option, path)
    try:
        # Without a password function OpenSSL would ask on the terminal.
        context.load_cert_chain(files.certificate, files.key or None, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigurationError(
            f"{files.certificate} and {files.key or 'the key in it'} cannot be used: {reason};"
            " both must be PEM, the key without a password and that of the certificate",
            option="tls.certificate",
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    _readable("tls.ca", path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{path} holds no certificate in PEM: {error.reason or error}", option="tls.ca"
        ) from error


def _readable(option: str, path: str) -> None:
    try:
        require_readable(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}; the user that the gateway"
            " runs as must be able to",
            option=option,
        ) from error
