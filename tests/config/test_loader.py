"""gateway.toml: what is refused, with which words, and what a good one gives."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway import config
from gateway.config import ConfigurationErrors, Settings
from gateway.config.choices import LogTarget, Mode, OnError, SizeCheck
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.config.sources import FILE_LIMIT
from gateway.frontends.replies import REFUSALS

FILE = "/etc/smmapd/gateway.toml"
ON = '[socketmap]\nlisten = ["unix:/run/s"]\n'
SCOPED = '[scope]\ndomains = ["example.org"]\n'
MILTER = '[milter]\nlisten = ["unix:/run/m"]\n'


def load(text: str) -> Settings:
    return config.loads(text.encode(), FILE)


def problems(text: str) -> list[str]:
    """The lines of the error that `text` raises, without the file's name."""
    with pytest.raises(ConfigurationErrors) as caught:
        load(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(FILE + ":") for line in lines), lines
    return [line.removeprefix(FILE + ":").strip() for line in lines]


NO_SCOPE = "nothing says which recipients are ours"
BAD = [
    # types
    ('workers = "4"\n' + ON, "1: workers: must be a whole number from 1 to 256, not a string"),
    ("workers = true\n" + ON, "1: workers: must be a whole number from 1 to 256, not a boolean"),
    ("workers = 0\n" + ON, "1: workers: 0 is not between 1 and 256"),
    (
        "graceful_timeout = nan\n" + ON,
        "1: graceful_timeout: nan is not between 0 and 600 seconds",
    ),
    (
        f"workers = 0x{'f' * 5000}\n" + ON,
        "1: workers: a number of 20000 bits is not between 1 and 256",
    ),
    (
        f"graceful_timeout = 1{'0' * 400}\n" + ON,
        "1: graceful_timeout: a number of 1329 bits is not between 0 and 600 seconds",
    ),
    (
        "graceful_timeout = -inf\n" + ON,
        "1: graceful_timeout: -inf is not between 0 and 600 seconds",
    ),
    (
        "graceful_timeout = 2024-01-01\n" + ON,
        "1: graceful_timeout: must be a number of seconds from 0 to 600, not a date or time",
    ),
    (
        'mode = "dry-run"\n' + ON,
        '1: mode: must be one of "enforce", "observe", not "dry-run"',
    ),
    (
        'store = "dovecot"\n' + ON,
        '1: store: "dovecot" is not a store; write "cyrus", "socketmap://HOST:PORT", '
        '"socketmap+tls://HOST:PORT", "lmtp://HOST:PORT", "socketmap:unix:/PATH" or '
        '"lmtp:unix:/PATH"',
    ),
    (
        "mode = 1\n" + ON,
        '1: mode: must be one of "enforce", "observe", not a whole number',
    ),
    (
        ON + '[cyrus]\nskip_plus = "yes"\n',
        "4: cyrus.skip_plus: must be true or false (without quotes), not a string",
    ),
    (
        ON + '[cyrus]\nimapd_conf = "imapd.conf"\n',
        '4: cyrus.imapd_conf: "imapd.conf" is a relative path; a daemon has no folder of its own, '
        "so let it begin with /",
    ),
    (
        ON + '[cyrus]\nservice = ""\n',
        "4: cyrus.service: must not be empty; give the name of a service",
    ),
    (
        'user = "a b"\n' + ON,
        '1: user: "a b" is not a user\'s name: at most 64 characters, no blanks',
    ),
    ("cyrus = 1\n" + ON, "1: cyrus: is a table; write [cyrus] and its settings below it"),
    # keys
    (
        "wrokers = 2\n" + ON,
        '1: wrokers: unknown setting; did you mean "workers"? see gateway.toml(5)',
    ),
    (
        ON + "[polcy]\nx = 1\n",
        '3: polcy: unknown setting; did you mean "policy"? see gateway.toml(5)',
    ),
    (
        ON + "workers = 2\n",
        "3: socketmap.workers: unknown setting; it belongs at the top of the file; see gateway.toml(5)",
    ),
    (
        ON + '[cyrus]\nmode = "observe"\n',
        "4: cyrus.mode: unknown setting; it belongs at the top of the file, or in [socketmap], "
        "[policy] or [milter]; see gateway.toml(5)",
    ),
    (
        ON + '[scope]\nlisten = ["unix:/run/smmapd/policy"]\n',
        "4: scope.listen: unknown setting; it belongs in [socketmap], [policy], [milter] or "
        "[admin]; see gateway.toml(5)",
    ),
    (
        ON + 'domains = ["a.example"]\n',
        "3: socketmap.domains: unknown setting; it belongs in [scope]; see gateway.toml(5)",
    ),
    (
        ON + '[milter]\n"li sten" = []\n',
        '4: milter.li sten: unknown setting; did you mean "listen"? see gateway.toml(5)',
    ),
    # listen
    (
        '[socketmap]\nlisten = "unix:/run/s"\n',
        '2: socketmap.listen: must be a list of sockets, not a string; write ["unix:/run/s"]',
    ),
    (
        '[socketmap]\nlisten = ["unix:run/s"]\n',
        '2: socketmap.listen[0]: "unix:run/s": the path is not absolute; let it begin with /',
    ),
    (
        f'[socketmap]\nlisten = ["unix:/{"p" * 107}"]\n',
        f'2: socketmap.listen[0]: "unix:/{"p" * 107}": the path has 108 bytes and a Unix socket\'s '
        "path at most 107; choose a shorter folder, for example below /run",
    ),
    (
        '[socketmap]\nlisten = ["unix:/run/s", "unix:/run/s"]\n',
        '2: socketmap.listen[1]: "unix:/run/s" is given twice; remove one',
    ),
    (
        '[socketmap]\nlisten = ["unix:/run/s", "unix:/run/s?mode=0666"]\n',
        '2: socketmap.listen: "unix:/run/s?mode=0666" and "unix:/run/s": one socket cannot serve '
        "twice, the list has both; give each its own",
    ),
    (
        ON + '[policy]\nlisten = ["unix:/run/s"]\n[scope]\ndomains = ["a.example"]\n',
        '4: policy.listen: "unix:/run/s": one socket cannot serve twice, socketmap.listen has it '
        "too; give each its own",
    ),
    (
        '[socketmap]\nlisten = ["inet:0.0.0.0:9625"]\n',
        'admin.listen: "inet:127.0.0.1:9625" and "inet:0.0.0.0:9625": one socket cannot serve '
        "twice, socketmap.listen has it too; give each its own",
    ),
    ("", "socketmap.listen: no front end listens; set listen in [socketmap], [policy] or [milter]"),
    (
        ON + '[admin]\nlisten = ["inet:192.0.2.1:80"]\n',
        '4: admin.listen: "inet:192.0.2.1:80" can be reached by other machines, and it asks for no '
        "password; use 127.0.0.1, [::1] or a Unix socket, or set admin.allow_remote = true",
    ),
    # milter
    *(
        (
            MILTER + f"{key} = {value}\n" + SCOPED,
            f'3: milter.{key}: the library "pymilter" cannot do that; leave it out, or set '
            'milter.library = "builtin"',
        )
        for key, value in (
            ("allow", '["127.0.0.0/8"]'),
            ("max_connections", "2000"),
            ("request_timeout", "30"),
        )
    ),
    (
        MILTER + "idle_timeout = 599\n" + SCOPED,
        '3: milter.idle_timeout: the library "pymilter" looks for idle connections every 600 s; '
        'set no less, leave it out, or set milter.library = "builtin"',
    ),
    (
        MILTER + 'library = "libmilter"\n' + SCOPED,
        '3: milter.library: must be one of "pymilter", "builtin", not "libmilter"',
    ),
    # scope
    (
        '[policy]\nlisten = ["unix:/run/p"]\n',
        f"scope.domains: policy is on and {NO_SCOPE}: it sees outbound mail too and would refuse "
        "it; set scope.domains, scope.domain_files or scope.postfix",
    ),
    (
        '[milter]\nlisten = ["unix:/run/m"]\n[scope]\n',
        f"3: scope.domains: milter is on and {NO_SCOPE}: it sees outbound mail too and would "
        "refuse it; set scope.domains, scope.domain_files or scope.postfix, or scope.mailers",
    ),
    (
        '[milter]\nlisten = ["unix:/run/m"]\n[policy]\nlisten = ["unix:/run/p"]\n',
        f"scope.domains: policy and milter are on and {NO_SCOPE}: they see outbound mail too and "
        "would refuse it; set scope.domains, scope.domain_files or scope.postfix",
    ),
    (
        '[policy]\nlisten = ["unix:/run/p"]\n[scope]\nmailers = ["lmtp"]\n',
        f"3: scope.domains: policy is on and {NO_SCOPE}: it sees outbound mail too and would "
        "refuse it; set scope.domains, scope.domain_files or scope.postfix (scope.mailers serves the milter "
        "only: Postfix does not tell a policy service)",
    ),
    (
        ON + '[scope]\nexempt_clients = ["192.0.2.1/24"]\n',
        '4: scope.exempt_clients[0]: "192.0.2.1/24" has bits set behind its prefix; write '
        '"192.0.2.0/24"',
    ),
    (
        ON + '[scope]\nexempt_clients = ["2001:db8::/129"]\n',
        '4: scope.exempt_clients[0]: "2001:db8::/129" is not a network; write for example '
        '"192.0.2.0/24" or "2001:db8::/32"',
    ),
    (
        ON + '[scope]\ndomains = ["fred@example.org"]\n',
        '4: scope.domains[0]: "fred@example.org" is an address; write what follows the @',
    ),
    (
        ON + '[scope]\nexempt_recipients = ["*@*"]\n',
        '4: scope.exempt_recipients[0]: "*@*" exempts every recipient; write mode = "observe" if '
        "nothing is to be refused",
    ),
    (
        ON + '[scope]\nmailers = ["a b"]\n',
        '4: scope.mailers[0]: "a b" is not the name of a mailer',
    ),
    (
        ON + '[scope]\naliases = ["hash:/etc/aliases"]\n',
        '4: scope.aliases[0]: "hash:/etc/aliases" is a table of Postfix, not a path; write '
        '"/etc/aliases", the text file that it is made of',
    ),
    (
        ON + '[scope]\naliases = ["aliases"]\n',
        '4: scope.aliases[0]: "aliases" is a relative path; a daemon has no folder of its own, so '
        "let it begin with /",
    ),
    # replies
    (
        ON + "[replies.nonexistent]\ncode = 450\n",
        "3: replies.nonexistent.enhanced: the class of 5.1.1 is not that of the code 450; set "
        'both, for example enhanced = "4.1.1"',
    ),
    (
        ON + '[replies.store-fault]\ncode = 550\nenhanced = "5.3.0"\n',
        "4: replies.store-fault.code: 550 is permanent; a fault of the server needs a code from "
        "400 to 459",
    ),
    (
        ON + "[replies.nonexistent]\ncode = 250\n",
        "4: replies.nonexistent.code: 250 is not between 400 and 599",
    ),
    (
        ON + '[replies]\nnonexistent = { text = "no {user}" }\n',
        "4: replies.nonexistent.text: unknown placeholder {user}; known are {recipient} and {reason}",
    ),
    (
        ON + "[replies.overquota]\ncode = 552\n",
        '3: replies.overquota: unknown kind of verdict; did you mean "over-quota"? there are '
        + ", ".join(kind.name for kind in REFUSALS),
    ),
    (
        'size_check = "temporary"\n'
        + ON
        + '[replies.size-over-quota]\ncode = 552\nenhanced = "5.2.2"\n',
        '5: replies.size-over-quota.code: 552 contradicts size_check = "temporary"; choose a code '
        "from 400 to 459, or change size_check",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_setting_is_refused_with_line_key_reason_and_mend(text: str, message: str) -> None:
    """One mistake gives one line, and the line says where, what and how to fix it."""
    assert problems(text) == [message]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    """Nobody has to start the daemon five times to find five mistakes."""
    found = problems(
        "workers = 0\n"
        "usr = 1\n"
        "[socketmap]\n"
        'listen = ["inet:localhost:1", "fd:"]\n'
        "[policy]\n"
        'listen = ["unix:/run/p"]\n'
        "[replies.denied]\n"
        'enhanced = "4.2.1"\n'
    )
    assert [each.split(": ")[0:2] for each in found] == [
        ["1", "workers"],
        ["2", "usr"],
        ["4", "socketmap.listen[0]"],
        ["4", "socketmap.listen[1]"],
        ["8", "replies.denied.enhanced"],
        ["scope.domains", "policy is on and nothing says which recipients are ours"],
    ]


def test_the_error_carries_each_problem_for_programs() -> None:
    """check-config can read file, line, option and problem of each."""
    with pytest.raises(ConfigurationErrors) as caught:
        load("workers = 0\n" + ON)
    (error,) = caught.value.errors
    assert (error.file, error.line, error.option) == (FILE, 1, "workers")
    assert error.problem == "0 is not between 1 and 256"


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    """The message names the path and what to do."""
    path = str(tmp_path / "none.toml")
    with pytest.raises(ConfigurationErrors) as caught:
        config.load(path)
    assert str(caught.value) == (
        f"{path}: cannot be read: No such file or directory; name the file with -c, or write it: smmapd-gateway print-config example prints one to begin with"
    )


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """Whatever it is, it is not a configuration."""
    path = tmp_path / "huge.toml"
    path.write_bytes(b"#" * (FILE_LIMIT + 1))
    with pytest.raises(ConfigurationErrors, match=r"this is not a gateway\.toml"):
        config.load(str(path))


def test_a_small_file_gives_the_defaults(tmp_path: Path) -> None:
    """One socket is enough to start with."""
    path = tmp_path / "gateway.toml"
    path.write_text(ON)
    loaded = config.load(str(path))
    assert loaded.file == str(path)
    assert loaded.general.store == ()
    assert loaded.general.on_error is OnError.TEMPFAIL
    assert loaded.general.size_check is SizeCheck.OFF
    assert loaded.cyrus.imapd_conf == "/etc/imapd.conf"
    assert loaded.cyrus.service == "smmap"
    assert loaded.logging.target is LogTarget.SYSLOG
    assert loaded.listeners == {
        "socketmap": (UnixEndpoint("/run/s"),),
        "admin": (InetEndpoint("127.0.0.1", 9625),),
    }


def test_every_value_arrives_typed() -> None:
    """Lists become tuples, words members, networks networks."""
    loaded = load(
        'workers = 3\ngraceful_timeout = 2\nmode = "observe"\n'
        '[policy]\nlisten = ["inet:[::1]:12345", "unix:/run/p?mode=0660&group=postfix"]\n'
        'mode = "enforce"\n'
        '[milter]\nlisten = ["inet:127.0.0.1:12347"]\n'
        '[scope]\ndomains = ["Example.org", ".example.net"]\nexempt_clients = ["192.0.2.0/24", "::1"]\n'
        "[admin]\nlisten = []\n"
    )
    assert loaded.general.workers == 3
    assert loaded.general.graceful_timeout == 2.0
    assert loaded.policy.listen == (
        InetEndpoint("::1", 12345),
        UnixEndpoint("/run/p", 0o660, group="postfix"),
    )
    assert loaded.scope.exempt_clients == (ip_network("192.0.2.0/24"), ip_network("::1"))
    assert loaded.scope.rules().exempt_clients == ("192.0.2.0/24", "::1/128")
    assert set(loaded.listeners) == {"policy", "milter"}


def test_the_builtin_library_honours_every_setting() -> None:
    """As the other front ends do; and pymilter the long times that an MTA needs."""
    both = 'allow = ["127.0.0.0/8"]\nmax_connections = 10\nrequest_timeout = 5\nidle_timeout = 5\n'
    loaded = load(MILTER + 'library = "builtin"\n' + both + SCOPED)
    assert loaded.milter.max_connections == 10
    assert load(MILTER + "idle_timeout = 600\n" + SCOPED).milter.library.value == "pymilter"


def test_a_front_end_has_its_own_mode_or_that_of_the_top() -> None:
    """mode = observe may be lifted for one front end at a time."""
    loaded = load('mode = "observe"\n' + ON + 'mode = "enforce"\n[policy]\n[milter]\n')
    assert loaded.socketmap.mode is Mode.ENFORCE
    assert loaded.policy.mode is Mode.OBSERVE
    assert loaded.milter.mode is Mode.OBSERVE
