"""The file of revoked certificates, looked at again while a process serves.

Contexts have the lists that the supervisor found good; newer ones are added
to them, and OpenSSL heeds the newest of each signer.  One that is wrong, or
has expired, is told to the log and leaves in force what there is.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError
from gateway.frontends.watched import Watched
from gateway.upstream.tls import load_crl

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_log = logging.getLogger(__name__)


class Revocations:
    """The file at `path`, whose lists `contexts` heed."""

    def __init__(self, path: str, contexts: Sequence[ssl.SSLContext]) -> None:
        self._path = path
        self._contexts = tuple(contexts)
        self._file: Watched[bytes] | None = None
        self._told = ""

    def look(self) -> None:
        """Load the lists if the file has changed."""
        if self._file is not None:
            self._file.refresh()
            return
        try:
            self._file = Watched(self._path, self._load)
        except ConfigurationError as fault:
            if str(fault) != self._told:
                self._told = str(fault)
                _log.error("%s; what was read before stays in force", fault)

    def _load(self, data: bytes) -> tuple[bytes, list[tuple[int, str]]]:
        for context in self._contexts:
            load_crl(context, self._path, data, datetime.now(UTC))
        _log.info("%s: its lists of revoked certificates are in force", self._path)
        return data, []
