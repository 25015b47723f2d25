"""A whole configuration as one frozen value, and the list of its sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.config.declaration import Section
from gateway.config.endpoints import Endpoint
from gateway.config.sources import Place
from gateway.config.tables import (
    admin,
    general,
    logging,
    milter,
    murder,
    policy,
    remote,
    replies,
    scope,
    socketmap,
    sql,
    store,
    tls,
)
from gateway.config.tables.admin import AdminSettings
from gateway.config.tables.general import GeneralSettings
from gateway.config.tables.logging import LoggingSettings
from gateway.config.tables.milter import MilterSettings
from gateway.config.tables.murder import MurderSettings
from gateway.config.tables.policy import PolicySettings
from gateway.config.tables.remote import RemoteSettings
from gateway.config.tables.scope import ScopeSettings
from gateway.config.tables.socketmap import SocketmapSettings
from gateway.config.tables.sql import SqlSettings
from gateway.config.tables.store import CyrusSettings
from gateway.config.tables.tls import TlsSettings
from gateway.frontends.replies import Template
from gateway.verification.model import Kind

# In the order of the reference and of the example.
SECTIONS: tuple[Section[object], ...] = (
    general.SECTION,
    store.SECTION,
    sql.SECTION,
    murder.SECTION,
    remote.SECTION,
    tls.SECTION,
    socketmap.SECTION,
    policy.SECTION,
    milter.SECTION,
    scope.SECTION,
    *replies.SECTIONS.values(),
    admin.SECTION,
    logging.SECTION,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What gateway.toml says, checked; `file` is its path.

    `replies` has one entry for every kind that refuses; it is what
    gateway.frontends.replies.ReplyTable takes.  `given` are the dotted keys that
    the file sets, to whatever value; `places` says where each key and table stands.
    """

    file: str
    general: GeneralSettings
    cyrus: CyrusSettings
    sql: SqlSettings
    murder: MurderSettings
    remote: RemoteSettings
    tls: TlsSettings
    socketmap: SocketmapSettings
    policy: PolicySettings
    milter: MilterSettings
    scope: ScopeSettings
    replies: Mapping[Kind, Template]
    admin: AdminSettings
    logging: LoggingSettings
    given: frozenset[str] = field(default=frozenset(), compare=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)
    # What the files of [tls] hold, by path, where that was read when they were found good.
    tls_contents: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def listeners(self) -> Mapping[str, tuple[Endpoint, ...]]:
        """The endpoints of each front end that is on, by the name of its table."""
        every = {
            "socketmap": self.socketmap.listen,
            "policy": self.policy.listen,
            "milter": self.milter.listen,
            "admin": self.admin.listen,
        }
        return MappingProxyType({name: each for name, each in every.items() if each})
