"""From settings to judges: what decides about the recipients of each front end.

Every process, explain and replay build their judges here, and nowhere else is a reply
table made of the settings.  Everything may raise ConfigurationError, which names the
file and option.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gateway.config.choices import AuthorityName
from gateway.config.locations import Protocol
from gateway.frontends.frontend import JudgeParts
from gateway.frontends.replies import ReplyTable
from gateway.frontends.scope import Scope
from gateway.frontends.watched import NOTHING_KNOWN, Trust
from gateway.wiring.assembly import counts_sizes
from gateway.wiring.mailserver import make_postfix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config import Settings
    from gateway.frontends.frontend import FrontEnd, JudgeT
    from gateway.frontends.scope import ScopeRules
    from gateway.mta.postfix import Postfix

_log = logging.getLogger(__name__)


def make_trust(
    settings: Settings, entries: Mapping[str, int] = NOTHING_KNOWN, *, lenient: bool = False
) -> Trust:
    """What is believed of the files of [scope]; `entries` is how many they had, by path."""
    return Trust(settings.scope.max_loss, entries, lenient)


def make_replies(settings: Settings) -> ReplyTable:
    """What is said for each kind of verdict."""
    return ReplyTable(settings.replies)


def make_judge(
    settings: Settings,
    front_end: FrontEnd[JudgeT, Any],
    *,
    postfix: Postfix | None = None,
    trust: Trust | None = None,
    replies: ReplyTable | None = None,
    answers: AuthorityName | None = None,
) -> JudgeT:
    """What decides for a front end.

    `postfix` is the mail server of the settings, read here where it is not
    given; `trust` is what is believed of the files of [scope], and without it
    they count as they are.  `answers` are those of the front end's own table where they
    are not given.
    """
    own = settings.front_end(front_end.name)
    answers = own.answers if answers is None else answers
    server = make_postfix(settings) if postfix is None else postfix
    believed = trust or Trust(settings.scope.max_loss, at_once=True)

    def make_scope(rules: ScopeRules, *, sees_mailers: bool = False) -> Scope:
        return Scope(
            rules,
            sees_mailers=sees_mailers,
            postfix=server,
            report=_log.warning,
            trust=believed,
        )

    return front_end.judge(
        JudgeParts(
            make_scope=make_scope,
            rules=settings.scope.rules(),
            replies=replies or make_replies(settings),
            table=own,
            on_error=settings.general.on_error,
            postfix=server,
            check_size=front_end.told_sizes and counts_sizes(settings, answers),
            delivery=answers is AuthorityName.DELIVERY,
            lmtp_store=any(each.protocol is Protocol.LMTP for each in settings.general.store),
        )
    )
