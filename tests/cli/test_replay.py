"""`replay`: logs as they are found on mail servers, and the rehearsal they give."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.rigs.commandline import GATEWAY_TOML, ROOT, Done, Site, command, environment

POSTFIX = """\
Nov 22 10:00:00 mx postfix/smtpd[1]: connect from h[192.0.2.1]
Nov 22 10:00:01 mx postfix/lmtp[2]: 3D1: to=<fred@example.org>, relay=mx, delay=1, dsn=2.1.5, status=sent (ok)
Nov 22 10:00:02 mx postfix/lmtp[2]: 3D2: to=<fred@example.org>, relay=mx, delay=1, dsn=2.1.5, status=sent (ok)
Nov 22 10:00:03 mx postfix/lmtp[2]: 3D3: to=<gone@example.org>, relay=mx, delay=1, dsn=2.1.5, status=sent (ok)
2026-11-22T10:00:04.5+01:00 mx postfix/lmtp[2]: 3D4: to=<over@example.org>, relay=mx, delay=1, dsn=2.1.5, status=sent (ok)
Nov 22 10:00:05 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown; from=<a@b> to=<nobody@example.org> proto=ESMTP helo=<h>
Nov 22 10:00:06 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <fred@example.org>: Recipient address rejected: User unknown; from=<a@b> to=<fred@example.org> proto=ESMTP helo=<h>
Nov 22 10:00:07 mx postfix/smtp[3]: 3D5: to=<joe@elsewhere.net>, relay=far, delay=1, dsn=2.0.0, status=sent (ok)
Nov 22 10:00:08 mx postfix/lmtp[2]: 3D6: to=<den@example.org>, relay=mx, delay=1, dsn=4.2.1, status=deferred (later)
Nov 22 10:00:09 mx sshd[9]: Accepted publickey for root
Nov 22 10:00:10 mx postfix/lmtp[2]: 3D7: to=<fred@exam"""

SENDMAIL = """\
Nov 22 10:00:01 mx sm-mta[2]: 2A1: to=<fred@example.org>,<gone@example.org>, delay=00:00:01, mailer=cyrusv2, dsn=2.0.0, stat=Sent
Nov 22 10:00:02 mx sm-mta[2]: 2A2: ruleset=check_rcpt, arg1=<nobody@example.org>, relay=h [192.0.2.1], reject=550 5.1.1 <nobody@example.org>... User unknown
"""


def zstd(data: bytes) -> bytes:
    """As the program zstd compresses."""
    return zstandard.ZstdCompressor().compress(data)


def write(site: Site, name: str, content: str | bytes) -> str:
    """A log below the site's folder; its path."""
    path = os.path.join(site.root, name)
    data = content.encode() if isinstance(content, str) else content
    with open(path, "wb") as file:
        file.write(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def table(done: Done) -> dict[str, list[int]]:
    """The rows of the table of counts."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.lines[1:5]]
    return {name: [int(number) for number in numbers] for name, *numbers in rows}


def test_answers_then_and_now_are_compared(site: Site) -> None:
    """Counts of recipients then and now, and who would be answered differently."""
    done = site.run("replay", write(site, "mail.log", POSTFIX))
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].split() == [
        "in",
        "the",
        "log",
        "now",
        "accepted",
        "now",
        "refused",
        "now",
        "deferred",
        "now",
        "not",
        "judged",
    ]
    assert table(done) == {
        "accepted": [1, 1, 1, 1],
        "refused": [1, 1, 0, 0],
        "deferred": [0, 1, 0, 0],
        "failed for another reason": [0, 0, 0, 0],
    }
    blocks = [block.splitlines() for block in done.out.split("\n\n")]
    counted, adds_up, strange = blocks[1]
    assert counted == "6 recipients in 11 lines; skipped: 2 other, 1 not understood"
    assert adds_up == (
        "the table adds up to 7: a recipient is counted once in the row of each outcome that it had"
    )
    assert 'mail.log, line 11: "Nov 22 10:00:10 mx postfix/lmtp[2]: 3D7: to=<fred@exam"' in strange
    assert [[" ".join(line.split()) for line in block] for block in blocks[2:]] == [
        [
            "Accepted then, would be refused: 1 recipient",
            "gone@example.org accepted 1 time now nonexistent: 550 5.1.1 User unknown",
        ],
        [
            "Accepted then, would be deferred: 1 recipient",
            "over@example.org accepted 1 time now over-quota: 452 4.2.2 Over quota",
        ],
        [
            "Refused or deferred then, would be accepted: 1 recipient",
            "fred@example.org refused 1 time now deliverable",
        ],
        [
            "Answered differently: 1 recipient",
            "den@example.org deferred 1 time now denied: 550 5.2.1 closed for good",
        ],
    ]


def test_sendmail_and_gzip(site: Site) -> None:
    """Compressed logs, known by their first bytes and not by their names."""
    path = write(site, "maillog.1.gz", SENDMAIL)
    os.rename(path, path.removesuffix(".gz"))
    done = site.run("replay", path.removesuffix(".gz"))
    assert (done.code, done.err) == (0, "")
    assert table(done)["accepted"] == [1, 1, 0, 0]
    assert table(done)["refused"] == [0, 1, 0, 0]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress, zstd])
def test_compressed_logs_are_read(site: Site, compress: Callable[[bytes], bytes]) -> None:
    """A log is inflated by how it begins, whatever its name, in a file and on standard input."""
    content = compress(POSTFIX.encode())
    path = write(site, "mail.log.1", content)
    for done in (site.run("replay", path), site.run("replay", "-", stdin=content)):
        assert (done.code, done.err) == (0, "")
        assert table(done)["accepted"] == [1, 1, 1, 1]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress, zstd])
def test_compressed_and_damaged(site: Site, compress: Callable[[bytes], bytes]) -> None:
    """What was cut off is told with the file's name; what was before it is replayed."""
    content = compress((POSTFIX + "\n").encode() * 50)
    path = write(site, "mail.log.1", content[: len(content) // 2])
    done = site.run("replay", path)
    assert done.code != 0
    assert path in done.err
    assert "Traceback" not in done.err


def test_zstd_without_its_package(site: Site) -> None:
    """The message says what to install, and how to do without."""
    path = write(site, "mail.log.zst", zstd(POSTFIX.encode()))
    blocked = os.path.join(site.root, "blocked")
    os.mkdir(blocked)
    with open(os.path.join(blocked, "sitecustomize.py"), "w", encoding="utf-8") as file:
        # None: importing it fails.  Others of the package `compression` are needed.
        file.write(
            "import sys\nsys.modules['compression.zstd'] = sys.modules['zstandard'] = None\n"
        )
    done = site.run("replay", path, env={"PYTHONPATH": f"{blocked}:{ROOT}"})
    assert done.code == os.EX_NOINPUT
    assert "zstandard" in done.err
    assert f"zstdcat {path}" in done.err


def test_a_log_full_of_mail_in_a_strange_form(site: Site) -> None:
    """It is never called a log without mail: the first strange line and what was expected."""
    path = write(site, "mail.log", "mx|postfix/lmtp|3D1: to=<fred@example.org>, status=sent\n" * 5)
    done = site.run("replay", path)
    assert done.code == os.EX_DATAERR
    assert f"{path}, line 1" in done.err
    assert "mx|postfix/lmtp" in done.err
    assert "RFC 5424" in done.err


def test_a_log_of_other_programs(site: Site) -> None:
    """That every line was read, and none was about mail, is said differently."""
    path = write(site, "auth.log", "Nov 22 10:00:09 mx sshd[9]: Accepted publickey for root\n")
    done = site.run("replay", path)
    assert done.code == os.EX_DATAERR
    assert "all are of other programs" in done.err


def test_several_logs_and_standard_input(site: Site) -> None:
    """All together, each recipient once."""
    path = write(site, "mail.log.gz", POSTFIX)
    done = site.run("replay", path, "-", stdin=SENDMAIL.encode())
    assert "accepted 2 times" in done.out  # gone@example.org
    assert "6 recipients in 13 lines" in done.out


def test_json_is_one_object_a_recipient(site: Site) -> None:
    """One object a recipient, then the counts."""
    *found, last = site.run("replay", "--json", write(site, "mail.log", POSTFIX)).objects
    assert found[0] == {
        "recipient": "fred@example.org",
        "log": {"accepted": 2, "refused": 1},
        "now": "accepted",
        "verdict": "deliverable",
        "reply": None,
    }
    assert {each["recipient"]: each["verdict"] for each in found}["joe@elsewhere.net"] == (
        "not-our-domain"
    )
    assert last["skipped"] == {"other": 2, "not understood": 1}
    assert last["first_not_understood"] == {
        "file": os.path.join(site.root, "mail.log"),
        "line": 11,
        "text": POSTFIX.splitlines()[-1],
    }


def test_observe_is_no_rehearsal(site: Site) -> None:
    """What is rehearsed is enforcing, whatever the mode is today."""
    site.configure('mode = "observe"\n' + GATEWAY_TOML)
    done = site.run("replay", write(site, "mail.log", POSTFIX))
    assert table(done)["accepted"] == [1, 1, 1, 1]


def test_without_a_scope_all_recipients_are_judged(site: Site) -> None:
    """Everybody is judged, which is told; --domain says who is ours."""
    site.configure(GATEWAY_TOML.split("[policy]", maxsplit=1)[0])
    path = write(site, "mail.log", POSTFIX)
    everybody = site.run("replay", path)
    assert "--domain" in everybody.err
    assert table(everybody)["accepted"] == [1, 2, 1, 0]
    ours = site.run("replay", "--domain", "example.org", path)
    assert ours.err == ""
    assert table(ours)["accepted"] == [1, 1, 1, 1]


def test_with_postfix_in_scope(site: Site, tmp_path: Path) -> None:
    """Its domains are judged, and no others."""
    program = tmp_path / "postconf"
    program.write_text(
        "#!/bin/sh\nprintf 'mail_version = 3.7.11\\nrelay_domains = example.org\\n"
        "relay_transport = lmtp:unix:/cyrus\\n'\n"
    )
    program.chmod(0o755)
    toml = GATEWAY_TOML.replace('domains = ["example.org"]', f'postfix = "{tmp_path}"')
    assert "postfix" in toml
    site.configure(toml)
    path = write(site, "mail.log", POSTFIX)
    done = site.run("replay", path, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.err == ""
    assert table(done)["accepted"] == [1, 1, 1, 1]


def test_a_wrong_domain(site: Site) -> None:
    """It is refused as in the configuration."""
    done = site.run("replay", "--domain", "no domain", write(site, "mail.log", POSTFIX))
    assert done.code == os.EX_CONFIG
    assert "no domain" in done.err


@pytest.mark.parametrize(
    "content", [None, b"", b"\x1f\x8b garbage", gzip.compress(POSTFIX.encode())[:-20], b"\0" * 9999]
)
def test_logs_that_cannot_be_used(site: Site, content: bytes | None) -> None:
    """Missing, empty, damaged, cut off, no log at all: one message that names the file."""
    path = os.path.join(site.root, "mail.log")
    if content is not None:
        write(site, "mail.log", content)
    done = site.run("replay", path)
    unreadable = content is None or content.startswith(b"\x1f\x8b")
    assert done.code == (os.EX_NOINPUT if unreadable else os.EX_DATAERR)
    assert path in done.err
    assert "Traceback" not in done.err


def test_a_folder_is_not_a_log(site: Site) -> None:
    """It is not a log."""
    done = site.run("replay", site.root)
    assert done.code == os.EX_NOINPUT
    assert site.root in done.err


def test_one_unreadable_log_among_others(site: Site) -> None:
    """The others are replayed; the exit code tells."""
    path = write(site, "mail.log", POSTFIX)
    done = site.run("replay", path, path + ".none")
    assert done.code == os.EX_NOINPUT
    assert table(done)["accepted"] == [1, 1, 1, 1]


def test_a_long_log_shows_how_far_it_is_on_a_terminal(site: Site) -> None:
    """On a terminal a long log shows how far it is; what is printed is clean."""
    path = write(site, "mail.log", (POSTFIX + "\n") * 20_000)
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command("replay", "-c", site.config, path),
        stdout=subprocess.PIPE,
        stderr=follower,
        env=environment(),
    ) as process:
        os.close(follower)
        assert process.stdout is not None
        shown = b""
        while True:
            try:
                piece = os.read(leader, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        out = process.stdout.read()
    os.close(leader)
    assert process.returncode == 0
    assert b"reading  [" in shown
    assert shown.endswith(b"\r\x1b[K")
    assert b"\x1b" not in out
