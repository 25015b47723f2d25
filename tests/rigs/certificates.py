"""Throw-away certificates, made by openssl(1): an authority, and what it signs.

authority = Authority(folder, "ca")
server = authority.sign("server", "DNS:mx.example.org,IP:127.0.0.1")
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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

    def revoke(self, *pairs: Pair, hours: int = 24, age: int = 0) -> str:
        """The path of a list that revokes certificates, and that expires in so many hours.

        It passes for one that was made `age` hours ago.
        """
        stem = os.path.join(self._folder, os.path.basename(self.pair.certificate))
        index, settings, path = f"{stem}.index", f"{stem}.cnf", f"{stem}.crl"
        for name, text in (
            (index, ""),
            (settings, f"[ca]\ndefault_ca=c\n[c]\ndatabase={index}\ndefault_md=sha256\n"),
        ):
            with open(name, "w", encoding="ascii") as file:
                file.write(text)
        words = ["openssl", "ca", "-config", settings, "-cert", self.pair.certificate]
        words += ["-keyfile", self.pair.key]
        for pair in pairs:
            run([*words, "-revoke", pair.certificate])
        now = datetime.now(UTC)
        for option, moment in (
            ("-crl_lastupdate", now - timedelta(hours=age)),
            ("-crl_nextupdate", now + timedelta(hours=hours)),
        ):
            words += [option, f"{moment:%Y%m%d%H%M%SZ}"]
        run([*words, "-gencrl", "-out", path])
        os.chmod(path, 0o644)
        return path

    def _pair(self, name: str) -> Pair:
        stem = os.path.join(self._folder, name)
        return Pair(f"{stem}.crt", f"{stem}.key")

    @staticmethod
    def _outputs(pair: Pair) -> list[str]:
        return ["-keyout", pair.key, "-out", pair.certificate]
