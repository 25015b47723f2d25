"""From settings to the servers that are asked: the backends of a Murder, the remote stores.

Nothing is connected or looked up here.  Raises ConfigurationError where files
of certificates cannot be used.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.config.choices import Order, TlsVersion, Unreachable
from gateway.config.locations import Protocol
from gateway.errors import ConfigurationError
from gateway.server.resolver import Names
from gateway.upstream import tls
from gateway.upstream.connection import Dialer
from gateway.upstream.lmtpclient import Creators, LmtpClient
from gateway.upstream.mupdate import Kicker
from gateway.upstream.socketmapclient import SocketmapClient
from gateway.verification.backends import Backends
from gateway.verification.expiringcache import ExpiringCache, Lifetimes
from gateway.verification.murder import MurderUpstreams
from gateway.verification.remote import RemoteVerifier
from gateway.verification.servers import LmtpServer, SocketmapServer

if TYPE_CHECKING:
    import ssl

    from gateway.config import Settings
    from gateway.cyrus.imapdconf import ImapdConf
    from gateway.verification.servers import Server


def make_murder(settings: Settings, conf: ImapdConf) -> MurderUpstreams:
    """The other servers of the Murder that `conf` belongs to, if it does to one."""
    murder = settings.murder
    return MurderUpstreams(
        Backends(
            port=murder.port,
            deadline=murder.deadline,
            max_idle=murder.pool_size,
            unreachable_is_ok=murder.unreachable is Unreachable.OK,
            lookup=Names().look_up,
        ),
        Kicker(conf.configdirectory),
    )


_log = logging.getLogger(__name__)

# In a gateway that serves: mail has to come in, and the log says what is wrong.
WARNED_OF = Creators(_log.warning, are_spared=False)
# For people's tools, which change nothing.
SPARED = Creators(_log.warning, are_spared=True)


def make_remote(
    settings: Settings,
    creators: Creators | None = WARNED_OF,
    contexts: list[ssl.SSLContext] | None = None,
) -> RemoteVerifier:
    """The engine that asks the servers of the setting `store`; `contexts` gets those of TLS.

    `creators` are those that make mailboxes; None: it is not found out which.
    """
    remote = settings.remote
    return RemoteVerifier(
        _servers(settings, creators, contexts),
        ExpiringCache(
            Lifetimes(
                yes=remote.remember_yes,
                no=remote.remember_no,
                over_quota=remote.remember_over_quota,
                stale=remote.serve_stale,
            ),
            remote.max_entries,
        ),
        deadline=remote.deadline,
        spread=remote.order is Order.SPREAD,
    )


def server_context(settings: Settings) -> ssl.SSLContext:
    """What sockets that listen with TLS speak."""
    try:
        return tls.server_context(_files(settings), verify_clients=settings.tls.verify_clients)
    except ConfigurationError as error:
        error.file = settings.file
        raise


def _servers(
    settings: Settings, creators: Creators | None, contexts: list[ssl.SSLContext] | None
) -> list[Server]:
    remote = settings.remote
    names = Names()
    context = _client_context(settings)
    if context is not None and contexts is not None:
        contexts.append(context)
    servers: list[Server] = []
    for location in settings.general.store:
        dialer = Dialer(
            str(location),
            location.address,
            lookup=names.look_up,
            context=context if location.tls else None,
        )
        if location.protocol is Protocol.LMTP:
            name = os.uname().nodename.encode()
            lmtp = LmtpClient(
                dialer,
                name=name,
                deadline=remote.deadline,
                max_idle=remote.pool_size,
                creators=creators,
            )
            servers.append(LmtpServer(lmtp))
        else:
            socketmap = SocketmapClient(dialer, deadline=remote.deadline, max_idle=remote.pool_size)
            servers.append(SocketmapServer(socketmap))
    return servers


def _client_context(settings: Settings) -> ssl.SSLContext | None:
    if not any(location.tls for location in settings.general.store):
        return None
    try:
        return tls.client_context(_files(settings))
    except ConfigurationError as error:
        error.file = settings.file
        raise


def tls_contents(settings: Settings) -> dict[str, bytes]:
    """What the files of [tls] hold now, by path, as far as they can be read.

    One that cannot is left out: the code that needs it says so.
    """
    found = {}
    for option, path in _files(settings).options:
        try:
            found[path] = tls.read(option, path)
        except ConfigurationError:
            continue
    return found


def _files(settings: Settings) -> tls.TlsFiles:
    chosen = settings.tls
    return tls.TlsFiles(
        contents=settings.tls_contents,
        certificate=chosen.certificate,
        key=chosen.key,
        ca=chosen.ca,
        crl=chosen.crl,
        tls13_only=chosen.minimum is TlsVersion.TLS_1_3,
    )
