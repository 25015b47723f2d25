"""From settings to the parts that serve: engine, scope, replies, judges.

The core and the milter build the same parts from the same settings, so that
every interface gives the same verdict.  Everything here may raise
ConfigurationError, which names the file and option.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.config.choices import AuthorityName, Mode, SizeCheck
from gateway.config.locations import Protocol
from gateway.cyrus import cyrusconf, imapdconf
from gateway.cyrus.store import DELIVERY_SERVICE, CyrusStore, sql_pool
from gateway.errors import ConfigurationError
from gateway.frontends import scope
from gateway.frontends.judge import Judge
from gateway.frontends.replies import ReplyTable
from gateway.frontends.socketmap_judge import SocketmapJudge
from gateway.frontends.waiver import Waivers
from gateway.frontends.watched import NOTHING_KNOWN, Trust
from gateway.server.resolver import Names
from gateway.verification.verifier import Verifier
from gateway.wiring.mailserver import make_postfix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config import Settings
    from gateway.cyrus.db.sql_pool import SqlPool
    from gateway.cyrus.imapdconf import ImapdConf
    from gateway.mta.postfix import Postfix

_log = logging.getLogger(__name__)

# It stands beside imapd.conf, as both have the same default folder.
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


def make_verifier(settings: Settings) -> Verifier:
    """The engine on the store that the settings name."""
    return Verifier.for_store(make_store(settings), answers=settings.general.answers.value)


def make_trust(
    settings: Settings, entries: Mapping[str, int] = NOTHING_KNOWN, *, lenient: bool = False
) -> Trust:
    """What is believed of the files of [scope]; `entries` is how many they had, by path."""
    return Trust(settings.scope.max_loss, entries, lenient)


def make_judge(
    settings: Settings,
    mode: Mode,
    answers: AuthorityName,
    *,
    sees_mailers: bool = False,
    postfix: Postfix | None = None,
    trust: Trust | None = None,
) -> Judge:
    """What decides for one front end; `sees_mailers` where it is the milter.

    `postfix` is the mail server of the settings, read here where it is not
    given; `trust` is what is believed of the files of [scope], and without it
    they count as they are.
    """
    if postfix is None:
        postfix = make_postfix(settings)
    return Judge(
        scope.Scope(
            settings.scope.rules(),
            sees_mailers=sees_mailers,
            postfix=postfix,
            report=_log.warning,
            trust=trust or Trust(settings.scope.max_loss, at_once=True),
        ),
        ReplyTable(settings.replies),
        waivers=Waivers(mode, settings.general.on_error),
        check_size=counts_sizes(settings, answers),
        postfix=postfix,
    )


def make_socketmap_judge(
    settings: Settings, postfix: Postfix | None = None, trust: Trust | None = None
) -> SocketmapJudge:
    """What the socketmap front end never finds, and which of its refusals are not carried out.

    `postfix` and `trust` as in `make_judge`.
    """
    if postfix is None:
        postfix = make_postfix(settings)
    rules = settings.scope.rules()
    lmtp = any(each.protocol is Protocol.LMTP for each in settings.general.store)
    domains = scope.ScopeRules(domains=rules.domains, domain_files=rules.domain_files)
    return SocketmapJudge(
        Waivers(settings.socketmap.mode, settings.general.on_error),
        scope.Scope(
            domains,
            postfix=postfix,
            report=_log.warning,
            trust=trust or Trust(settings.scope.max_loss, at_once=True),
        )
        if rules.knows_domains
        else None,
        needs_domain=lmtp and not rules.unqualified,
    )
