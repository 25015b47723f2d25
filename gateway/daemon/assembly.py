"""From settings to the parts that serve: engine, scope, replies, judges.

The core and the milter build the same parts from the same settings, so that
every door gives the same verdict.  Everything here may raise
ConfigurationError, which names the file and option.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.daemon.settings.words import Mode, OnError, SizeCheck
from gateway.errors import ConfigurationError
from gateway.frontends.judge import OWN_FAULTS, Judge
from gateway.frontends.replies import ReplyTable
from gateway.frontends.scope import Scope
from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.verification.model import Kind, Verdict
from gateway.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.daemon.settings import Settings

_log = logging.getLogger(__name__)


def make_store(settings: Settings) -> CyrusStore:
    """The store that the settings name."""
    conf = imapdconf.load(settings.cyrus.imapd_conf, settings.cyrus.service)
    try:
        return CyrusStore(
            conf,
            settings.cyrus.service.encode(),
            skip_plus=settings.cyrus.skip_plus,
            report=_log.warning,
        )
    except ConfigurationError as error:
        error.file = error.file or settings.cyrus.imapd_conf
        raise


def make_verifier(settings: Settings) -> Verifier:
    """The engine on the store that the settings name."""
    return Verifier.for_store(make_store(settings))


def make_judge(settings: Settings, mode: Mode, *, sees_mailers: bool = False) -> Judge:
    """What decides for one front end; `sees_mailers` where it is the milter."""
    return Judge(
        Scope(settings.scope.rules(), sees_mailers=sees_mailers, report=_log.warning),
        ReplyTable(settings.replies),
        mode=mode,
        on_error=settings.general.on_error,
        check_size=settings.general.size_check is not SizeCheck.OFF,
    )


def make_renderer(settings: Settings) -> Callable[[Verdict, bytes], bytes]:
    """What turns a verdict into a socketmap reply's payload.

    In mode observe every look-up finds its recipient; with on_error accept a
    fault of ours does.
    """
    if settings.socketmap.mode is Mode.OBSERVE:
        return _found
    if settings.general.on_error is OnError.ACCEPT:
        return partial(_found_for, OWN_FAULTS)
    return socketmap_payload


def _found(_verdict: Verdict, key: bytes) -> bytes:
    return b"OK " + key


def _found_for(lenient: tuple[Kind, ...], verdict: Verdict, key: bytes) -> bytes:
    return _found(verdict, key) if verdict.kind in lenient else socketmap_payload(verdict, key)
