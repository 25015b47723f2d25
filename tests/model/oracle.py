"""What is true: what a program says that was started behind the last change, and has no memory."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.verification.model import Query
from gateway.verification.verifier import Verifier
from tests.rigs.cyrus import Cyrus
from tests.rigs.responders import DOMAIN, SMMAPD, Socketmap, of_map


def program(cyrus: Cyrus, argv0: str, imapd_conf: str, names: Sequence[bytes]) -> list[str]:
    """What a fresh `smmapd -X` says: ours, or the C one."""
    front = Socketmap("smmapd -X", lambda: cyrus.smmapd(argv0, imapd_conf=imapd_conf))
    try:
        return front.ask(names)
    finally:
        front.close()


def engine(imapd_conf: str, names: Sequence[bytes], answers: str = SMMAPD) -> list[str]:
    """What a fresh engine says as the authority `answers`, without the start of a program."""
    store = CyrusStore(imapdconf.load(imapd_conf, "smmap"), b"smmap")
    verifier = Verifier.for_store(store, answers=answers)
    keys = [b"%b@%b" % (name, DOMAIN) for name in names]
    found = [of_map(socketmap_payload(verifier.verify(Query(key)), key)) for key in keys]
    for database in store.databases:
        database.close()
    return found
