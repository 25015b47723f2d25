"""The kick: asks the local mupdate process to bring the mailbox list up to date.

On a Murder frontend a recipient that the mailbox list does not hold may have
been created a moment ago.  Connecting to mupdate's socket makes it fetch what
is new; it writes something back when it has (imap/mupdate-client.c,
kick_mupdate).  The engine then looks once more.
"""

from __future__ import annotations

from gateway.cyrus.imapdconf import MUPDATE_STANDARD
from gateway.errors import UpstreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.imapdconf import ImapdConf

# Where mupdate listens, below configdirectory.
SOCKET = "socket/mupdate.target"

# Seconds to wait for mupdate's word.
DEFAULT_DEADLINE = 5.0


def kicks(conf: ImapdConf) -> bool:
    """Whether a server so configured asks mupdate for mailboxes that its list does not hold.

    A standard backend keeps its own list and asks nobody.
    """
    backend = conf.mupdate_config == MUPDATE_STANDARD and conf.proxyservers is not None
    return conf.mupdate_server is not None and not backend


def kick(configdirectory: str, deadline: float = DEFAULT_DEADLINE) -> None:
    """Return when mupdate says that the mailbox list is current.

    Blocks up to `deadline` seconds.  Raises UpstreamError naming the socket
    when mupdate cannot be reached or does not answer.
    """
    import socket  # noqa: PLC0415  (see backend.py)

    path = f"{configdirectory}/{SOCKET}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(deadline)
            peer.connect(path)
            if not peer.recv(4096):
                raise UpstreamError(path, "mupdate closed the connection without a word")
    except TimeoutError as error:
        raise UpstreamError(path, f"mupdate did not answer within {deadline:g} s") from error
    except OSError as error:
        raise UpstreamError(path, f"cannot reach mupdate: {error.strerror or error}") from error
