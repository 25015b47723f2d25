"""Sockets that systemd opened: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES (sd_listen_fds(3)).

The variables are taken out of the environment, so that no child believes that
they are meant for it, and the descriptors are closed on exec.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType

from gateway.errors import ConfigurationError

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
# What systemd calls a socket whose unit has no FileDescriptorName=.
UNNAMED = "unknown"
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class ActivationError(ConfigurationError):
    """The variables make no sense, or a descriptor is not a listening stream socket."""


def take(
    environ: MutableMapping[str, str], *, first: int = FIRST_DESCRIPTOR
) -> Mapping[str, tuple[socket.socket, ...]]:
    """The listening sockets that were passed to this process, by name; empty if there are none.

    Raises ActivationError.
    """
    pid, count, names = (environ.pop(variable, "") for variable in _VARIABLES)
    if not pid or not count or pid != str(os.getpid()):
        return MappingProxyType({})
    if not count.isascii() or not count.isdigit():
        raise ActivationError(f'LISTEN_FDS is "{count}" and not a number; start by systemd')
    descriptors = range(first, first + int(count))
    labels = names.split(":") if names else [UNNAMED] * len(descriptors)
    if len(labels) != len(descriptors):
        raise ActivationError(
            f"LISTEN_FDNAMES has {len(labels)} names for {len(descriptors)} descriptors; "
            "start by systemd"
        )
    found: dict[str, tuple[socket.socket, ...]] = {}
    for descriptor, label in zip(descriptors, labels, strict=True):
        found[label] = (*found.get(label, ()), _adopt(descriptor, label))
    return MappingProxyType(found)


def _adopt(descriptor: int, label: str) -> socket.socket:
    """The socket of `descriptor`; raises ActivationError unless it is a listening stream."""
    try:
        os.set_inheritable(descriptor, False)
        adopted = socket.socket(fileno=descriptor)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ActivationError(
            f"descriptor {descriptor} ({label}) from systemd is not a socket: {reason}"
        ) from None
    listens = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if adopted.type != socket.SOCK_STREAM or not listens:
        adopted.detach()
        raise ActivationError(
            f"descriptor {descriptor} ({label}) from systemd is not a listening stream socket; "
            "use ListenStream= and Accept=no in the socket unit"
        )
    adopted.setblocking(False)
    return adopted
