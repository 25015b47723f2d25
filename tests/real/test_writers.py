"""Reads while Cyrus writes: creates, renames, deletes, fills, blocks, repacks and dies in a loop.

Nothing that anybody says at any interface may be wrong or stale: see histories.py
for what that means, and account.py for how to ask more than CI does.
"""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest

from tests.real.account import QUESTIONS, SEED, settle_account
from tests.real.cyrus_writer import DENIED, REASON
from tests.real.dying_writer import DyingWriter
from tests.real.histories import History
from tests.real.readers import DOMAIN, Crowd, SocketmapLanguage, interfaces
from tests.real.writerkills import OVER_QUOTA, VICTIM, Truth, WriterKills, ok
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox, quota_record
from tests.rigs.program import smmapd_program
from tests.rigs.require import require
from tests.rigs.socketmap import Connection
from tests.rigs.syslog import Syslog
from tests.rigs.under_master import NOT_FOUND, SERVICE

pytestmark = [pytest.mark.real, pytest.mark.slow]

FORMATS = ("twoskip", "skiplist", "flat")
QUOTA_FORMATS = ("quotalegacy", "twoskip", "flat", "skiplist")
READERS = 8
# Of all questions; the rest are twom's.
SHARE = 0.3
USERS = 300
FOLDERS = range(0, USERS, 9)
UNKNOWN_NAMES = 200
# Users that are over quota all the time.
FULL = range(5, USERS, 18)


@pytest.mark.parametrize("backend", FORMATS)
def test_no_answer_is_wrong_or_stale(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Questions at every interface while Cyrus' own programs change what they are about, and die."""
    require("cyrus")
    quotas = QUOTA_FORMATS[(FORMATS.index(backend) + SEED) % len(QUOTA_FORMATS)]
    settings = {
        "mboxlist_db": backend,
        "quota_db": quotas,
        "defaultacl": "admin lrswipkxtecdan",
        "virtdomains": "userid",
        "defaultdomain": DOMAIN,
    }
    keys = [b"stable%d" % n for n in range(USERS)] + [b"stable%d+Sent" % n for n in FOLDERS]
    full = {b"stable%d" % n for n in FULL}
    stable = [History(key, OVER_QUOTA if key in full else ok(key)) for key in keys]
    unknown = [History(b"missing%d" % n, NOT_FOUND) for n in range(UNKNOWN_NAMES)]
    unknown += [History(b"stable%d+Nothing" % n, NOT_FOUND) for n in FOLDERS]
    chance = random.Random(f"{backend} {SEED}")
    moving: list[History] = []
    crowd = Crowd(chance, stable + unknown, moving)
    with Syslog() as log, Cyrus(settings) as cyrus:
        cyrus.tools.load_mailboxes(
            [Mailbox(f"user.{key.decode().replace('+', '.')}") for key in keys]
            + [Mailbox("user.blocked")]
        )
        cyrus.tools.set_quotas(
            {b"user." + key: quota_record(messages=(3, 3)) for key in full}, quotas
        )
        cyrus.add_service("imap", "imapd", prefork=1)
        cyrus.add_service(VICTIM, "imapd", prefork=1)
        cyrus.add_service(SERVICE, f"{smmapd_program()} -U 100000", prefork=1)
        cyrus.start(log)
        conf = cyrus.imapd_conf
        with (
            interfaces(crowd, cyrus, conf, [REASON]),
            cyrus.admin() as admin,
            Connection.to(cyrus.socket_path(SERVICE)) as connection,
            WriterKills(cyrus, random.Random(SEED)) as kills,
            ExitStack() as stack,
        ):
            for _ in range(READERS):
                client = stack.enter_context(Connection.to(cyrus.socket_path(SERVICE)))
                crowd.join("master", client, SocketmapLanguage())
            truth = Truth(cyrus, backend, quotas, DENIED)
            writer = DyingWriter(crowd, cyrus, backend, admin, connection, moving, kills, truth)
            writer.drive(int(QUESTIONS * SHARE))
    heard = [line for line in log.messages() if f" {SERVICE}[" in line]
    title = f"{backend} ({len(writer.files)} files), quotas in {quotas}"
    settle_account(title, crowd, writer, heard, capsys)
    assert len(writer.files) > 1, "the list was never written again"
