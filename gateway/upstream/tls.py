"""TLS contexts from PEM, for both sides of a connection.

At least TLS 1.2 is spoken.  A client checks the server's certificate and that
it is valid for the host's name, by its subjectAltName alone; a server may ask
clients for one, too.  With a list of revoked certificates (`crl`) a peer whose
certificate is on it, or whose signer has no list there, is refused.

What is read from a file is what `contents` says of it, where it says anything:
a process that the supervisor starts uses the bytes that were found good, and
not those of files that are just being renewed.  OpenSSL takes keys from files
only; here those are files in memory.  Raises ConfigurationError, which names
the option of gateway.toml.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import MappingProxyType

from gateway.errors import ConfigurationError
from gateway.files import TooLong, read_file
from gateway.upstream import crl as lists
from gateway.values import Value

# A chain of certificates has some kilobytes, a large list of revoked ones a few megabytes.
MAX_FILE = 16 << 20  # only a bound

_NONE: Mapping[str, bytes] = MappingProxyType({})


class TlsFiles(Value):
    """Paths of PEM files, empty where there is none; `tls13_only` refuses TLS 1.2.

    `key` may be in the file of the certificate; an empty `ca` are the
    system's.  `contents` are bytes of those files, by path.
    """

    __slots__ = ("ca", "certificate", "contents", "crl", "key", "tls13_only")
    ca: str
    certificate: str
    contents: Mapping[str, bytes]
    crl: str
    key: str
    tls13_only: bool

    def __init__(
        self,
        *,
        certificate: str = "",
        key: str = "",
        ca: str = "",
        crl: str = "",
        tls13_only: bool = False,
        contents: Mapping[str, bytes] = _NONE,
    ) -> None:
        self.ca = ca
        self.certificate = certificate
        self.contents = contents
        self.crl = crl
        self.key = key
        self.tls13_only = tls13_only
        self._freeze()

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """The files that there are, each with the option that names it."""
        every = (
            ("tls.certificate", self.certificate),
            ("tls.key", self.key),
            ("tls.ca", self.ca),
            ("tls.crl", self.crl),
        )
        return tuple((option, path) for option, path in every if path)

    def read(self, option: str, path: str) -> bytes:
        """The bytes of one of the files.  Raises ConfigurationError."""
        known = self.contents.get(path)
        return known if known is not None else read(option, path)


def read(option: str, path: str) -> bytes:
    """The bytes of the file that `option` names.  Raises ConfigurationError."""
    try:
        return read_file(path, MAX_FILE)
    except TooLong as error:
        raise ConfigurationError(f"{path} {error.strerror}", option=option) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}; the user that the gateway"
            " runs as must be able to",
            option=option,
        ) from error


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For connections to servers, whose certificate and host name are checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A name in the subject of a certificate that has no subjectAltName is not a host's (RFC 9525).
    context.hostname_checks_common_name = False
    _prepare(context, files)
    if files.ca:
        _load_ca(context, files)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _check_revocations(context, files)
    return context


def server_context(files: TlsFiles, *, verify_clients: bool) -> ssl.SSLContext:
    """For connections from clients; with `verify_clients` they must show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, files)
    if verify_clients:
        _load_ca(context, files)
        _check_revocations(context, files)
        context.verify_mode = ssl.CERT_REQUIRED
        # A client that resumes a session shows no certificate again, and it may have been revoked.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def load_crl(context: ssl.SSLContext, path: str, data: bytes, now: datetime) -> None:
    """Let `context` refuse the peers that `data`, the file at `path`, revokes.

    May be done again with newer lists.  Raises ConfigurationError for what is not a list, or one
    that has expired by `now`: OpenSSL would refuse every peer then.
    """
    try:
        until = lists.next_updates(data)
        with _in_memory(data) as name:
            context.load_verify_locations(name)
    except (ValueError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigurationError(
            f"{path} holds no list of revoked certificates in PEM: {reason}; write one with"
            " openssl ca -gencrl, or openssl crl -outform PEM",
            option="tls.crl",
        ) from error
    expired = [moment for moment in until if moment is not None and moment <= now]
    if expired:
        raise ConfigurationError(
            f"{path} has expired on {min(expired):%Y-%m-%d %H:%M} UTC, and no peer can be checked"
            " with it; put a new list there",
            option="tls.crl",
        )


def _prepare(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if files.tls13_only else ssl.TLSVersion.TLSv1_2
    if not files.certificate:
        return
    certificate = files.read("tls.certificate", files.certificate)
    key = files.read("tls.key", files.key) if files.key else None
    try:
        with ExitStack() as stack:
            chain = stack.enter_context(_in_memory(certificate))
            own = stack.enter_context(_in_memory(key)) if key is not None else None
            # Without a password function OpenSSL would ask on the terminal.
            context.load_cert_chain(chain, own, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigurationError(
            f"{files.certificate} and {files.key or 'the key in it'} cannot be used: {reason};"
            " both must be PEM, the key without a password and that of the certificate",
            option="tls.certificate",
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def _load_ca(context: ssl.SSLContext, files: TlsFiles) -> None:
    data = files.read("tls.ca", files.ca)
    if lists.is_in(data):
        raise ConfigurationError(
            f"{files.ca} holds a list of revoked certificates, which nothing would heed there;"
            " put it into a file of its own and name that in crl",
            option="tls.ca",
        )
    try:
        with _in_memory(data) as name:
            context.load_verify_locations(name)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{files.ca} holds no certificate in PEM: {error.reason or error}", option="tls.ca"
        ) from error


def _check_revocations(context: ssl.SSLContext, files: TlsFiles) -> None:
    if not files.crl:
        return
    load_crl(context, files.crl, files.read("tls.crl", files.crl), datetime.now(UTC))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """The name of a file with `data` that is on no disk."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
