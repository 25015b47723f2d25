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
        # Python 3.13 believes no authority whose certificate does not say what its key may do.
        subject += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        run(["openssl", "req", *subject, *_NEW_KEY, *self._outputs(self.pair)])
        os.chmod(self.pair.key, 0o644)

    def sign(self, name: str, names: str, *, days: int = 2) -> Pair:
        """A certificate for the subjectAltName `names`; expired where `days` is negative."""
        pair = self._pair(name)
        request = os.path.join(self._folder, f"{name}.csr")
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
        run(["openssl", "req", *subject, *_NEW_KEY, "-keyout", pair.key, "-out", request])
        if days < 0:
            self._sign_expired(request, pair, days)
        else:
            signer = ["-CA", self.pair.certificate, "-CAkey", self.pair.key, "-CAcreateserial"]
            wanted = ["-copy_extensions", "copy", "-days", str(days)]
            signing = ["openssl", "x509", "-req", "-in", request, "-out", pair.certificate]
            run([*signing, *signer, *wanted])
        # The gateway's user reads it, whichever that is.
        os.chmod(pair.key, 0o644)
        return pair

    def _sign_expired(self, request: str, pair: Pair, days: int) -> None:
        """OpenSSL 3.5 takes no negative days for a new certificate; `ca` takes any two dates."""
        settings = os.path.join(self._folder, "expired.cnf")
        index = os.path.join(self._folder, "expired.index")
        about = {
            "database": index, "new_certs_dir": self._folder, "rand_serial": "yes",
            "default_md": "sha256", "policy": "p", "copy_extensions": "copy",
        }  # fmt: skip
        lines = "\n".join(f"{name}={value}" for name, value in about.items())
        with open(settings, "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=c\n[c]\n{lines}\n[p]\ncommonName=supplied\n")
        with open(index, "w", encoding="ascii"):
            pass
        end = datetime.now(UTC) + timedelta(days=days)
        dates = ["-startdate", f"{end - timedelta(days=2):%Y%m%d%H%M%SZ}"]
        dates += ["-enddate", f"{end:%Y%m%d%H%M%SZ}"]
        words = ["openssl", "ca", "-batch", "-notext", "-config", settings, *dates]
        words += ["-cert", self.pair.certificate, "-keyfile", self.pair.key]
        run([*words, "-in", request, "-out", pair.certificate])

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
