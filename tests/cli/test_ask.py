"""`ask`: what a running gateway says through its own sockets, beside what an MTA would hear."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.demo.store import ALIASES, DOMAINS, build
from tests.rigs.certificates import Authority
from tests.rigs.commandline import Done, run
from tests.rigs.folders import write_text
from tests.rigs.gateway import Gateway
from tests.rigs.ports import LOOPBACK, free_ports

FRED = "fred@example.org"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demo's store behind all three front ends, and a socketmap that speaks TLS."""
    folder = str(tmp_path_factory.mktemp("ask"))
    os.chmod(folder, 0o755)
    store = build(folder)
    write_text(os.path.join(folder, "aliases"), ALIASES)
    authority = Authority(folder, "ca")
    own = authority.sign("gateway", f"IP:{LOOPBACK}")
    (port,) = free_ports(1)
    with Gateway(store.conf_path) as running:
        unix = f"unix:{running.path('socketmap')}"
        running.configure(
            {
                "": {"user": ""},
                "socketmap": {"listen": [unix, f"inet:{LOOPBACK}:{port}?tls=yes"]},
                "policy": {"listen": [f"unix:{running.path('policy')}"]},
                "milter": {"listen": [f"unix:{running.path('milter')}"]},
                "scope": {"domains": list(DOMAINS), "aliases": [os.path.join(folder, "aliases")]},
                "tls": {
                    "certificate": own.certificate,
                    "key": own.key,
                    "ca": authority.pair.certificate,
                },
            }
        )
        running.start()
        yield running


def ask(gateway: Gateway, *words: str) -> Done:
    """Run the command."""
    return run("ask", "-c", gateway.configuration, *words)


CASES = [
    # recipient, what each front end means, the exit code
    (FRED, {"socketmap": "ok", "policy": "ok", "milter": "ok"}, 0),
    ("nobody@example.org", {"socketmap": "no", "policy": "no", "milter": "no"}, 1),
    ("olga@example.org", {"socketmap": "later", "policy": "later", "milter": "later"}, 75),
    ("dora@example.org", {"socketmap": "no", "policy": "no", "milter": "no"}, 1),
    ("dan@example.org", {"socketmap": "later", "policy": "later", "milter": "later"}, 75),
    # Policy and milter leave aliases and other domains to the MTA.
    ("info@example.org", {"socketmap": "no", "policy": "ok", "milter": "ok"}, 1),
]


@pytest.mark.parametrize(("recipient", "means", "code"), CASES, ids=[case[0] for case in CASES])
def test_what_each_front_end_says(
    gateway: Gateway, recipient: str, means: dict[str, str], code: int
) -> None:
    """Every socket is asked, the one with TLS too; the worst answer is the exit code."""
    done = ask(gateway, recipient)
    rows = [line.split("\t") for line in done.lines]
    assert [row[0] for row in rows] == [recipient] * 4
    assert [row[1] for row in rows] == ["socketmap", "socketmap", "policy", "milter"]
    assert {row[1]: row[3] for row in rows} == means
    assert all(row[5].endswith(" ms") for row in rows)
    assert (done.code, done.err) == (code, "")


def test_the_words_that_an_mta_hears(gateway: Gateway) -> None:
    """The reply, the action and the SMTP reply as they came."""
    said = {
        row.split("\t")[1]: row.split("\t")[4] for row in ask(gateway, "nobody@example.org").lines
    }
    assert said["socketmap"].startswith("NOTFOUND ")
    assert said["policy"].startswith("550 5.1.1 ")
    assert said["milter"].startswith("550 5.1.1 ")


@pytest.mark.parametrize("front", ["socketmap", "policy", "milter"])
@pytest.mark.parametrize(
    ("recipient", "expected", "code"),
    [
        (FRED, "ok", 0),
        (FRED, "no", 1),
        ("nobody@example.org", "no", 0),
        ("nobody@example.org", "ok", 1),
        ("olga@example.org", "later", 0),
    ],
)
def test_an_unexpected_answer_is_a_failure(
    gateway: Gateway, front: str, recipient: str, expected: str, code: int
) -> None:
    """For monitoring: 0 only where the answer is the expected one."""
    assert ask(gateway, "--front", front, "--expect", expected, recipient).code == code


def test_the_announced_size_and_the_sender(gateway: Gateway) -> None:
    """What MAIL FROM says reaches policy and milter."""
    done = ask(gateway, "--size", "3000000", "--sender", "<>", "--client", "192.0.2.1", FRED)
    assert done.code == 0
    assert ask(gateway, "--client", "nowhere", FRED).code == os.EX_USAGE
    assert ask(gateway, "--size", "big", FRED).code == os.EX_USAGE


def test_json_is_one_object_an_answer(gateway: Gateway) -> None:
    """One object an answer."""
    (one,) = ask(gateway, "--json", "--front", "policy", FRED).objects
    took = one.pop("milliseconds")
    assert isinstance(took, float)
    assert one == {
        "recipient": FRED,
        "front_end": "policy",
        "socket": f"unix:{gateway.path('policy')}",
        "means": "ok",
        "answer": "DUNNO",
        "problem": None,
    }


def test_a_recipient_that_would_break_the_protocol(gateway: Gateway) -> None:
    """A line end is not sent to the policy service; the others call it no address."""
    done = ask(gateway, "--front", "policy", "a\nrecipient=fred@example.org")
    assert done.code == os.EX_TEMPFAIL
    assert "not asked" in done.out


def test_a_socket_that_is_named(gateway: Gateway) -> None:
    """--socket takes one front end; what listens elsewhere is asked with it."""
    unix = f"unix:{gateway.path('policy')}"
    done = ask(gateway, "--front", "policy", "--socket", unix, FRED)
    assert done.code == 0
    assert ask(gateway, "--socket", unix, FRED).code == os.EX_USAGE
    assert ask(gateway, "--front", "policy", "--socket", "fd:policy", FRED).code == os.EX_USAGE
    assert ask(gateway, "--front", "policy", "--socket", "nothing", FRED).code == os.EX_CONFIG


def test_the_wrong_protocol(gateway: Gateway) -> None:
    """A front end that is asked in another's words gives no answer, and the socket is named."""
    milter = f"unix:{gateway.path('milter')}"
    done = ask(gateway, "--front", "socketmap", "--socket", milter, FRED)
    assert done.code == os.EX_TEMPFAIL
    assert milter in done.out
    assert done.lines[0].split("\t")[3] == "none"


def test_nobody_listens(gateway: Gateway) -> None:
    """No answer is never taken for one; the socket and the reason are printed."""
    gone = f"unix:{gateway.folder}/gone"
    for words in ([], ["--expect", "no"], ["--expect", "ok"]):
        done = ask(gateway, "--front", "policy", "--socket", gone, *words, FRED)
        assert done.code == os.EX_TEMPFAIL
        assert "cannot connect" in done.out
        assert "Traceback" not in done.err


@contextmanager
def saying(path: str, answer: bytes) -> Iterator[None]:
    """A server that says `answer` to each client, and closes the connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(30)

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(30)
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.mark.parametrize("front", ["socketmap", "policy", "milter"])
@pytest.mark.parametrize(
    "answer",
    [b"", b"\0", b"12", b"3:abc,", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 200_000, b"\0\0\0\0", b"\0\0\0\x01O"],
    ids=["nothing", "nul", "digits", "word", "http", "much", "empty packet", "no offer"],
)  # fmt: skip
def test_nonsense_is_no_answer(
    gateway: Gateway, tmp_path: os.PathLike[str], front: str, answer: bytes
) -> None:
    """Whatever another program says there: one line, and exit code 75."""
    path = os.path.join(tmp_path, "server")
    with saying(path, answer):
        done = ask(gateway, "--front", front, "--socket", f"unix:{path}", FRED)
    assert done.code == os.EX_TEMPFAIL
    assert len(done.lines) == 1
    assert done.err == ""


def test_sockets_that_only_systemd_knows(tmp_path: os.PathLike[str]) -> None:
    """It says what to write; a front end that listens nowhere is named."""
    config = os.path.join(tmp_path, "gateway.toml")
    write_text(config, '[policy]\nlisten = ["fd:policy"]\n[scope]\ndomains = ["example.org"]\n')
    done = run("ask", "-c", config, FRED)
    assert done.code == os.EX_USAGE
    assert "--front policy --socket unix:/PATH" in done.err
    other = run("ask", "-c", config, "--front", "milter", FRED)
    assert other.code == os.EX_USAGE
    assert "[milter] listens nowhere" in other.err
