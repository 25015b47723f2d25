"""The golden rows through the engine: names, databases, checks and texts."""

from __future__ import annotations

import os

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.verification.verifier import Verifier
from tests.golden import Configuration, configurations
from tests.golden.comparison import difference, wrong_replies


def make_session(configuration: Configuration, folder: str) -> SocketmapSession:
    """A session on the databases of one configuration."""
    return SocketmapSession(make_verifier(configuration, folder))


def make_verifier(configuration: Configuration, folder: str) -> Verifier:
    """The engine on the databases of one configuration."""
    path = os.path.join(folder, "imapd.conf")
    configuration.write_conf(path)
    conf = imapdconf.load(path, configuration.service)
    store = CyrusStore(
        conf, configuration.service.encode(), skip_plus="-p" in configuration.arguments
    )
    return Verifier.for_store(store)


@pytest.mark.parametrize("configuration", configurations(), ids=lambda c: c.id)
def test_every_key_gets_the_reply_of_the_c_program(
    configuration: Configuration, tmp_path: os.PathLike[str]
) -> None:
    """Each recipient of each configuration, with the intended differences."""
    verifier = make_verifier(configuration, str(tmp_path))
    wrong = wrong_replies(configuration, verifier)
    assert wrong == [], "\n".join(wrong)


def test_a_difference_names_the_configuration_and_the_spelling() -> None:
    """A failure says which imapd.conf and which recipient to try."""
    configuration = next(c for c in configurations() if c.keeps_domains)
    row = configuration.rows("key")[0]
    told = difference(configuration, row, b"4:TEMP,", row.reply)
    for part in (configuration.id, "virtdomains", repr(row.key), repr(row.reply), "4:TEMP,"):
        assert part in told
