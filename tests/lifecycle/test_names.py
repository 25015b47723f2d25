"""A name service that hangs: other servers by name are deferred in their time, and nothing waits for it.

The gateway is in a network of its own, where something has the name service's port and never
answers.  (That the name service fails at once, or comes back, is in tests/server/test_resolver.py.)
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.rigs.folders import write_text
from tests.rigs.gateway import Tables
from tests.rigs.load import FRED
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import MilterClient
from tests.rigs.require import require_root

pytestmark = pytest.mark.real

# $1: a resolv.conf.
NETWORK = 'ip link set lo up && mount --bind "$1" "$2" && shift 2 && exec "$@"'
# Whatever is asked there stays unread.
SILENT = """
import os, socket, sys
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
silent.set_inheritable(True)
os.execv(sys.argv[1], sys.argv[1:])
"""
UNAVAILABLE = b"4.4.3 Mailbox server is not available"


@pytest.mark.parametrize("protocol", ["socketmap", "lmtp"])
def test_a_name_service_that_hangs_defers_and_holds_up_nothing(protocol: str) -> None:
    """Every front end has an answer in time, a reload is taken, and the log names the name."""
    require_root("only root makes network namespaces")
    tables: Tables = {
        "": {"store": [f"{protocol}://mail.example:1234"]},
        "remote": {"deadline": 0.5},
    }
    with ManagedGateway(tables, milter=True) as managed:
        resolver = write_text(managed.path("resolv.conf"), "nameserver 127.0.0.1\n")
        shell = ["sh", "-c", NETWORK, "sh", resolver, os.path.realpath("/etc/resolv.conf")]
        managed.start(prefix=["unshare", "--net", "--mount", *shell, sys.executable, "-c", SILENT])
        managed.wait_told("READY")
        for _ in range(2):
            assert managed.ask("socketmap", FRED) == b"TEMP Mailbox server is not available"
            assert managed.ask("policy", FRED) == b"DEFER_IF_PERMIT " + UNAVAILABLE
            with MilterClient(managed.path("milter")) as mta:
                mta.connect()
                mta.mail()
                assert mta.rcpt(b"<%b>" % FRED) == b"451 " + UNAVAILABLE
            assert managed.reload()["STATUS"] == "serving with core, milter"
        managed.wait_log(
            "the name mail.example cannot be looked up", "the name service does not answer in time"
        )
