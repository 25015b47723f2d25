"""A whole configuration as one frozen value, and the list of its sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.config.declaration import Section
from gateway.config.endpoints import Endpoint
from gateway.config.frontends import FRONT_ENDS, FrontEndTables
from gateway.config.sources import SourceLocation
from gateway.config.tables import (
    admin,
    general,
    logging,
    murder,
    remote,
    replies,
    scope,
    sql,
    store,
    tls,
)
from gateway.config.tables.admin import AdminSettings
from gateway.config.tables.general import GeneralSettings
from gateway.config.tables.logging import LoggingSettings
from gateway.config.tables.murder import MurderSettings
from gateway.config.tables.remote import RemoteSettings
from gateway.config.tables.scope import ScopeSettings
from gateway.config.tables.sql import SqlSettings
from gateway.config.tables.store import CyrusSettings
from gateway.config.tables.tls import TlsSettings
from gateway.frontends.replies import Template
from gateway.verification.kinds import Kind

# In the order of the reference and of the example.
SECTIONS: tuple[Section[object], ...] = (
    general.SECTION,
    store.SECTION,
    sql.SECTION,
    murder.SECTION,
    remote.SECTION,
    tls.SECTION,
    *(row.section for row in FRONT_ENDS),
    scope.SECTION,
    *replies.SECTIONS.values(),
    admin.SECTION,
    logging.SECTION,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(FrontEndTables):
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
    scope: ScopeSettings
    replies: Mapping[Kind, Template]
    admin: AdminSettings
    logging: LoggingSettings
    given: frozenset[str] = field(default=frozenset(), compare=False)
    places: Mapping[str, SourceLocation] = field(default_factory=dict, compare=False, repr=False)
    # What the files of [tls] hold, by path, where that was read when they were found good.
    tls_contents: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def listeners(self) -> Mapping[str, tuple[Endpoint, ...]]:
        """The endpoints of each front end that is on, and of the admin page, by table."""
        every = {row.name: self.front_end(row.name).listen for row in self.serving}
        if self.admin.listen:
            every[admin.SECTION.name] = self.admin.listen
        return MappingProxyType(every)
