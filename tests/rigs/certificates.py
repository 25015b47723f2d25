"""Throw-away certificates, made by openssl(1): an authority, and what it signs.

authority = Authority(folder, "ca")
server = authority.sign("server", "DNS:mx.example.org,IP:127.0.0.1")
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.rigs.processes import run

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Paths of a certificate and its private key."""

    certificate: str
    key: str


class Authority:
    """One who signs; its own certificate is `pair.certificate`."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self.pair = self._pair(name)
        subject = ["-x509", "-days", "2", "-subj", f"/CN={name}"]
        run(["openssl", "req", *subject, *_NEW_KEY, *self._outputs(self.pair)])
        os.chmod(self.pair.key, 0o644)

    def sign(self, name: str, names: str, *, days: int = 2) -> Pair:
        """A certificate for the subjectAltName `names`; expired where `days` is negative."""
        pair = self._pair(name)
        request = os.path.join(self._folder, f"{name}.csr")
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
        run(["openssl", "req", *subject, *_NEW_KEY, "-keyout", pair.key, "-out", request])
        signer = ["-CA", self.pair.certificate, "-CAkey", self.pair.key, "-CAcreateserial"]
        wanted = ["-copy_extensions", "copy", "-days", str(days)]
        signing = ["openssl", "x509", "-req", "-in", request, "-out", pair.certificate]
        run([*signing, *signer, *wanted])
        # The gateway's user reads it, whoever that is.
        os.chmod(pair.key, 0o644)
        return pair

    def _pair(self, name: str) -> Pair:
        stem = os.path.join(self._folder, name)
        return Pair(f"{stem}.crt", f"{stem}.key")

    @staticmethod
    def _outputs(pair: Pair) -> list[str]:
        return ["-keyout", pair.key, "-out", pair.certificate]
