"""From settings to the store, and what its files say of the services that use it.

Everything here may raise ConfigurationError, which names the file and option.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.config.choices import AuthorityName, SizeCheck
from gateway.cyrus import cyrusconf, imapdconf
from gateway.cyrus.store import DELIVERY_SERVICE, CyrusStore, sql_pool
from gateway.errors import ConfigurationError
from gateway.server.resolver import Names

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.cyrus.db.sqlserver.connections import SqlPool
    from gateway.cyrus.imapdconf import ImapdConf

_log = logging.getLogger(__name__)

# It is beside imapd.conf, as both have the same default folder.
CYRUS_CONF = "cyrus.conf"


def make_store(settings: Settings, sql: SqlPool | None = None) -> CyrusStore:
    """The store that the settings name, with `sql` as its connections where it needs some."""
    path = settings.cyrus.imapd_conf
    conf = imapdconf.load(path, settings.cyrus.service)
    delivery = delivery_service(settings)
    try:
        return CyrusStore(
            conf,
            settings.cyrus.service.encode(),
            skip_plus=settings.cyrus.skip_plus,
            report=_log.warning,
            empty_list=settings.cyrus.allow_empty_list or None,
            sql=sql or _sql_pool(settings, conf),
            delivery_conf=imapdconf.load(path, delivery),
            delivery_service=delivery.encode(),
        )
    except ConfigurationError as error:
        error.file = error.file or settings.cyrus.imapd_conf
        raise


def _sql_pool(settings: Settings, conf: ImapdConf) -> SqlPool | None:
    """Connections to the SQL server, for all stores of a process to share."""
    sql = settings.sql
    return sql_pool(
        conf,
        hostnames=",".join(sql.hosts),
        deadline=sql.deadline,
        size=sql.pool_size,
        lookup=Names().look_up,
    )


def cyrus_conf(settings: Settings) -> str:
    """Where master's cyrus.conf is, beside imapd.conf."""
    return os.path.join(os.path.dirname(settings.cyrus.imapd_conf), CYRUS_CONF)


def delivery_service(settings: Settings) -> str:
    """What lmtpd is called in cyrus.conf, as the settings or that file say."""
    if settings.cyrus.delivery_service:
        return settings.cyrus.delivery_service
    try:
        found = cyrusconf.deliveries(cyrusconf.read(cyrus_conf(settings)))
    except OSError:
        found = []  # no Cyrus master here, or none of our business
    return found[0].name if found else DELIVERY_SERVICE.decode()


def counts_sizes(settings: Settings, answers: AuthorityName) -> bool:
    """Whether an announced size makes a difference at a front end.

    Raises ConfigurationError where imapd.conf cannot be used.
    """
    if settings.general.size_check is not SizeCheck.OFF:
        return True
    if answers is not AuthorityName.DELIVERY or settings.general.store:
        return False
    conf = imapdconf.load(settings.cyrus.imapd_conf, delivery_service(settings))
    return conf.lmtp_strict_quota
