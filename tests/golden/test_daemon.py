"""The golden rows through the program itself: `smmapd -X -C imapd.conf < queries`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.protocols.socketmap import Decoder, encode
from tests.golden import Configuration, configurations, conversations
from tests.golden.comparison import difference
from tests.golden.differences import expected
from tests.golden.test_engine import make_session

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "smmapd.main"]


def run(configuration: Configuration, folder: Path, data: bytes) -> bytes:
    """What smmapd says to `data` on standard input."""
    conf = folder / "imapd.conf"
    configuration.write_conf(str(conf))
    result = subprocess.run(
        [*PROGRAM, "-X", "-C", str(conf), *configuration.arguments],
        input=data,
        capture_output=True,
        env={**os.environ, "CYRUS_SERVICE": configuration.service, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""
    return result.stdout


def netstrings(data: bytes) -> list[bytes]:
    """The replies in the bytes of a conversation, with their frames."""
    decoder = Decoder()
    payloads = decoder.feed(data)
    decoder.end()
    assert decoder.error is None, data
    return [encode(payload) for payload in payloads]


@pytest.mark.parametrize("configuration", configurations(), ids=lambda c: c.id)
def test_all_keys_of_a_configuration_on_one_connection(
    configuration: Configuration, tmp_path: Path
) -> None:
    """Every recipient on one connection: the replies come in order and are the C program's."""
    rows = configuration.rows("key")
    replies = netstrings(run(configuration, tmp_path, b"".join(row.query for row in rows)))
    assert len(replies) == len(rows)
    wrong = [
        difference(configuration, row, reply, expected(configuration, row))
        for row, reply in zip(rows, replies, strict=True)
        if reply != expected(configuration, row)
    ]
    assert wrong == [], "\n".join(wrong)


CONVERSATIONS = [
    (configuration, row)
    for configuration in configurations()
    for row in configuration.rows("raw") + configuration.rows("overlong")
]


@pytest.mark.parametrize(
    ("configuration", "row"),
    CONVERSATIONS,
    ids=[f"{c.id}-{row.key.decode()}" for c, row in CONVERSATIONS],
)
def test_whole_conversations(configuration: Configuration, row: object, tmp_path: Path) -> None:
    """Broken and unusual conversations, up to the client's end of file."""
    from tests.golden import Row

    assert isinstance(row, Row)
    assert run(configuration, tmp_path, row.query) == expected(configuration, row)


# An unfinished request is waited for, where the C program takes the end of the
# packet for the end of the request; before that, these were answered.
WAITS = {
    b"short": b"",
    b"seq-trunc-end": encode(b"OK alice"),
    b"seq-2000": (encode(b"OK alice") + encode(b"NOTFOUND Mailbox does not exist")) * 1000,
}


@pytest.mark.parametrize(
    "configuration",
    [c for c in configurations() if c.rows("raw")],
    ids=lambda c: c.id,
)
def test_what_is_said_before_the_client_ends(configuration: Configuration, tmp_path: Path) -> None:
    """A reply comes as soon as it can; after a broken request the server is the one to close."""
    wrong = []
    for row in configuration.rows("raw"):
        session = make_session(configuration, str(tmp_path))
        session.receive(row.query)
        said = b""
        while session.busy and not session.finished:
            said += session.replies()
        said += session.replies()
        longer = expected(configuration, row)
        # Where the C program takes a split for the end, ours waits for the rest.
        waits = row.reply_open == row.reply != said and longer.startswith(said)
        if said != (longer if row.reply_open == row.reply else row.reply_open) and not waits:
            wrong.append(difference(configuration, row, said, row.reply_open))
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("row", conversations("split"), ids=lambda row: str(row["id"]))
def test_a_request_in_several_packets_is_one_request(
    row: dict[str, object], tmp_path: Path
) -> None:
    """Intended difference: the reply does not depend on how the bytes were cut."""
    configuration = next(c for c in configurations() if c.id == "head-twoskip/default")
    parts = row["parts"]
    assert isinstance(parts, list)
    pieces = [str(part).encode("latin-1") for part in parts]
    session = make_session(configuration, str(tmp_path))
    said = b""
    for piece in pieces:
        session.receive(piece)
        said += session.replies()
    assert said == run(configuration, tmp_path, b"".join(pieces))
    assert b"Bad protocol" not in said
