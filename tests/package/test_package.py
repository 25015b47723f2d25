"""The Debian package: it installs into a clean system, serves there, and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import struct
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.cli.main import COMMANDS
from tests.package.conftest import field, install
from tests.rigs.clients import INTERFACES
from tests.rigs.debian import Root
from tests.rigs.folders import write_text
from tests.rigs.gateway import FRONT_ENDS, Value, toml
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.processes import complete, run
from tests.rigs.program import ROOT
from tests.rigs.socketmap import request
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, record

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONFIGURATION = "/etc/smmapd/gateway.toml"
STORE = "/srv/cyrus"
with open(os.path.join(ROOT, "pyproject.toml"), "rb") as project:
    VERSION = tomllib.load(project)["project"]["version"]
FRED, NOBODY = b"fred@example.org", b"nobody@example.org"
UNKNOWN = b"550 5.1.1 User unknown"

# What may differ after a purge: dpkg's and the linker's own records, logs, accounts (policy wants
# system users to stay, section 9.2), and caches of modules that belong to other packages.
MAY_CHANGE = re.compile(
    r"/(var/(lib/dpkg|log|cache)|run|tmp|root|proc|dev)(/|$)"
    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|/etc/\.pwd\.lock$|/etc/ld\.so\.cache$"
    r"|.*/__pycache__(/|$)"
)


@pytest.fixture(scope="module")
def before(root: Root) -> dict[str, tuple[int, ...]]:
    """What is in the root before the package is."""
    return root.files()


@pytest.fixture(scope="module")
def installed(root: Root, before: dict[str, tuple[int, ...]], package: str) -> Iterator[Root]:
    """The root with the package."""
    assert before
    install(root, package)
    yield root


def test_lintian_has_nothing_to_say(package: str) -> None:
    """Overrides are explained where they stand."""
    said = run(["/usr/bin/lintian", "--profile", "debian", "--allow-root", package])
    assert said.decode() == ""


def test_its_version_is_the_projects(package: str) -> None:
    """Debian's revision comes behind it."""
    assert field(package, "Version").rpartition("-")[0] == VERSION


def test_what_builds_it_is_what_the_tests_bring() -> None:
    """The group `deb` of packages.sh has all of Build-Depends."""
    with open(os.path.join(ROOT, "contrib", "debian", "control"), encoding="utf-8") as file:
        found = re.search(r"^Build-Depends:\n((?: .*\n)+)", file.read(), re.MULTILINE)
    assert found is not None
    wanted = {line.split("(")[0].strip(" ,\n") for line in found[1].splitlines()}
    wanted = {name.replace("debhelper-compat", "debhelper") for name in wanted}
    with open(os.path.join(ROOT, "tests", "rigs", "packages.sh"), encoding="utf-8") as file:
        group = re.search(r'\[deb\]="([^"]*)"', file.read())
    assert group is not None
    assert wanted <= set(group[1].split())


def test_dpkg_finds_all_dependencies_in_a_clean_system(installed: Root) -> None:
    """What `Depends` names is all that was there, and it is enough."""
    assert installed.run("dpkg", "--audit") == b""
    code, said = installed.complete("smmapd-gateway", "--version")
    assert (code, said) == (0, f"smmapd-gateway {VERSION}\n")


def _below(folder: str) -> list[str]:
    return [
        os.path.join(each, name)
        for each, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]


def test_what_builds_on_a_clean_machine_is_named() -> None:
    """dpkg-buildpackage wants build-essential, which Build-Depends does not name."""
    with open(os.path.join(ROOT, "tests", "rigs", "packages.sh"), encoding="utf-8") as file:
        group = re.search(r'\[deb\]="([^"]*)"', file.read())
    assert group is not None
    assert "build-essential" in group[1].split()


def test_whoever_builds_it_maintains_it(package: str) -> None:
    """No address of ours that nobody reads."""
    assert re.fullmatch(r"[^<>]+ <[^@<>]+@[^@<>]+>", field(package, "Maintainer"))
    assert "smmapd.example" not in field(package, "Maintainer")


def test_what_smmapd_loads_at_its_start_is_in_one_file(installed: Root) -> None:
    """Written at the installation, for the Python that is there (smmapd/archive.py)."""
    folder = installed.path("/usr/share/smmapd-gateway/smmapd/__pycache__")
    written = [name for name in os.listdir(folder) if name.endswith(".archive")]
    assert len(written) == 1


@pytest.mark.parametrize("program", ["smmapd", "smmapd-gateway"])
def test_no_foreign_module_is_loaded(installed: Root, program: str) -> None:
    """PYTHONPATH, the working folder and user site packages have no say: the options stay."""
    with open(installed.path(f"/usr/bin/{program}"), encoding="utf-8") as file:
        first = file.readline()
    assert re.fullmatch(r"#!/usr/bin/python3 -\w*[IP]\w*\n", first), first
    os.makedirs(installed.path("/tmp/evil"), exist_ok=True)
    write_text(installed.path("/tmp/evil/sitecustomize.py"), "print('evil')\n")
    words = ["env", "-C", "/tmp/evil", "PYTHONPATH=/tmp/evil", program]
    words += ["--version"] if program == "smmapd-gateway" else ["-?"]
    _, said = installed.complete(*words)
    shutil.rmtree(installed.path("/tmp/evil"))
    assert "evil" not in said


def _matches(line: str, rules: list[str]) -> bool:
    """As logcheck asks: grep with extended expressions, a file of them."""
    words = ["grep", "-E", *(word for rule in rules for word in ("-e", rule))]
    return complete(words, stdin=line.encode() + b"\n").returncode == 0


def test_logcheck_is_told_what_is_usual(installed: Root) -> None:
    """A line per recipient is not a warning; whatever is wrong is."""
    with open(installed.path("/etc/logcheck/ignore.d.server/smmapd-gateway")) as file:
        rules = [line.rstrip("\n") for line in file]
    heads = ("Nov 30 10:00:00 mx ", "2026-11-30T10:00:00.123456+01:00 mx ")
    usual = [
        "smmapd-gateway[12]: verdict frontend=policy mode=enforce verdict=nonexistent",
        "smmapd[12]: verdict frontend=socketmap mode=enforce verdict=deliverable",
        "smmapd-gateway[12]: ready: serving with core, milter",
    ]
    warnings = [
        "smmapd-gateway[12]: core died",
        "smmapd-gateway[12]: cannot read /x: verdict frontend",
    ]
    for rule in rules:
        assert rule[0] + rule[-1] == "^$"
    for head in heads:
        for line in usual:
            assert _matches(head + line, rules), line
        for line in warnings:
            assert not _matches(head + line, rules), line


def test_nothing_is_enabled_and_the_folder_of_sockets_is_there(installed: Root) -> None:
    """Without a configuration for this machine there is nothing to start."""
    links = installed.path("/etc/systemd/system")
    assert not [path for path in _below(links) if "smmapd" in path]
    state = os.lstat(installed.path("/run/smmapd"))
    assert (state.st_mode & 0o777, state.st_uid, state.st_gid) == (0o755, 0, 0)
    assert b"smmapd:x:" in installed.run("getent", "passwd", "smmapd")
    assert installed.run("getent", "group", "smmapd")


def test_it_comes_with_pages_completion_and_examples(installed: Root) -> None:
    """Every subcommand is in the completion of the shells."""
    for page in ("man5/gateway.toml.5.gz", "man8/smmapd.8.gz", "man8/smmapd-gateway.8.gz"):
        assert os.path.isfile(installed.path(f"/usr/share/man/{page}"))
    bash = "/usr/share/bash-completion/completions/smmapd-gateway"
    installed.run("bash", "-n", bash)
    for path in (bash, "/usr/share/zsh/vendor-completions/_smmapd-gateway"):
        with open(installed.path(path), encoding="utf-8") as file:
            text = file.read()
        for command in COMMANDS:
            assert command in text, path
    examples = installed.path("/usr/share/doc/smmapd-gateway/examples")
    with open(f"{examples}/gateway.toml", "rb") as example:
        assert "socketmap" in tomllib.load(example)
    for name in ("cyrus", "exim", "grafana", "postfix", "prometheus", "sendmail", "systemd"):
        assert os.listdir(f"{examples}/{name}")
    documents = installed.path("/usr/share/doc/smmapd-gateway")
    # dh_compress(1): what is longer than 4 KiB is compressed.
    for name in (
        "SECURITY.md",
        "README.Sendmail",
        "NEWS.Debian.gz",
        "docs/index.md",
        "docs/status.png",
        "docs/peers.svg",
    ):
        assert any(os.path.isfile(f"{documents}/{name}{end}") for end in ("", ".gz")), name


def test_every_link_of_its_documents_leads_somewhere(installed: Root) -> None:
    """To files that are installed, manual pages too; what is in the clone alone has no link."""
    below = Path(installed.path("/usr/share/doc/smmapd-gateway"))
    links = 0
    for document in sorted(below.rglob("*.md")):
        text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            links += 1
            assert (document.parent / target).exists(), f"{document} links to {target}"
    assert links > 0
    index = (below / "docs/index.md").read_text()
    assert "[smmapd(8)](../../../man/man8/smmapd.8.gz)" in index


def test_the_configuration_that_it_brings_is_sound_and_refuses_nobody(installed: Root) -> None:
    """It lacks what this system lacks: Cyrus and its user."""
    with open(installed.path(CONFIGURATION), "rb") as file:
        loaded = tomllib.load(file)
    assert loaded["mode"] == "observe"
    assert list(loaded["policy"]) == ["listen"]
    assert "socketmap" not in loaded  # one that observes would let everybody in
    assert "milter" not in loaded
    code, said = installed.complete("smmapd-gateway", "serve")
    assert code == os.EX_CONFIG
    user, imapd_conf = said.splitlines()
    assert user.startswith(f'{CONFIGURATION}:10: user: there is no user "cyrus"')
    assert "/etc/imapd.conf" in imapd_conf


@pytest.fixture(scope="module")
def store(installed: Root) -> str:
    """The imapd.conf, as a path inside, of a flat store with fred."""
    flat = FlatStore(
        installed.path(STORE),
        mailboxes={b"user.fred": record(b"fred\tlrswipkxtecdan")},
        options={"virtdomains": "userid", "defaultdomain": "example.org"},
    )
    flat.write()
    with open(flat.conf_path, encoding="utf-8") as file:
        text = file.read().replace(installed.folder, "")
    write_text(flat.conf_path, text)
    return flat.conf_path.removeprefix(installed.folder)


def test_smmapd_answers_on_standard_input(installed: Root, store: str) -> None:
    """With nothing but what the package needs."""
    words = ["smmapd", "-X", "-C", store]
    said = installed.run(*words, stdin=request(FRED) + request(NOBODY))
    assert said == b"19:OK fred@example.org,31:NOTFOUND Mailbox does not exist,"


def test_smmapd_serves_under_master(installed: Root, store: str, tmp_path: Path) -> None:
    """Debian's gevent and zope.interface are found without Python's site module."""
    path = installed.path("/run/master")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        place = f'exec 3>&{writing} 4<&{listener.fileno()}; exec "$@"'
        user = pwd_of(installed, "smmapd")
        inner = ["/usr/sbin/chroot", f"--userspec={user.pw_uid}:{user.pw_gid}", "/"]
        daemon = installed.daemon(
            *inner, "/usr/bin/smmapd", "-C", store,
            log=str(tmp_path / "log"),
            env={"CYRUS_SERVICE": "smmap"},
            prefix=("/bin/bash", "-c", place, "bash"),
            pass_fds=(writing, listener.fileno()),
        )  # fmt: skip
        daemon.start()
        os.close(writing)
        try:
            with INTERFACES["socketmap"](path) as client:
                assert client.ask(FRED) == b"OK " + FRED
                assert client.ask(NOBODY) == b"NOTFOUND Mailbox does not exist"
                message, pid = struct.unpack("=ii", os.read(reading, 8))
                assert (message, pid) == (4, daemon.pid)  # CONNECTION_MULTI
        finally:
            assert daemon.stop() == [], daemon.output()
        assert daemon.output() == ""


def pwd_of(root: Root, user: str) -> pwd.struct_passwd:
    """A user of the root."""
    fields = root.run("getent", "passwd", user).decode().strip().split(":")
    return pwd.struct_passwd((*fields[:2], int(fields[2]), int(fields[3]), *fields[4:]))


@pytest.fixture(scope="class")
def serving(
    installed: Root, store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Root]:
    """The service, as an administrator has configured and started it: by hand, without systemd."""
    tables: dict[str, dict[str, Value]] = {
        "": {"user": "smmapd"},
        "cyrus": {"imapd_conf": store},
        "scope": {"domains": ["example.org"]},
        "admin": {"listen": []},
        "logging": {"target": "stderr"},
    }
    for front in FRONT_ENDS:
        tables[front] = {"listen": [f"unix:/run/smmapd/{front}?mode=0660&group=smmapd"]}
    write_text(installed.path(CONFIGURATION), toml(tables))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(installed.path("/run/notify"))
        # A process that has left root must reach it.
        os.chmod(installed.path("/run/notify"), 0o777)
        notify.setblocking(False)
        daemon = installed.daemon(
            "smmapd-gateway", "serve",
            log=str(tmp_path_factory.mktemp("log") / "log"),
            env={"NOTIFY_SOCKET": "/run/notify"},
        )  # fmt: skip
        daemon.start()

        def ready() -> bool:
            daemon.check()
            try:
                return b"READY=1" in notify.recv(4096)
            except BlockingIOError:
                return False

        try:
            wait_until(ready, "the packaged gateway is ready")
            yield installed
            daemon.send_signal(signal.SIGTERM)
            wait_until(lambda: not daemon.running(), "it stops")
            assert daemon.exit_code() == os.EX_OK, daemon.output()
        finally:
            assert daemon.stop() == [], daemon.output()
    os.unlink(installed.path("/run/notify"))


class TestServing:
    """The service, asked as mail servers and its administrator do."""

    def test_the_service_answers_through_every_interface(self, serving: Root) -> None:
        """On Debian's gevent, prometheus_client and xxhash."""
        for interface in INTERFACES:
            with INTERFACES[interface](serving.path(f"/run/smmapd/{interface}")) as client:
                said = [client.ask(FRED), client.ask(NOBODY)]
            assert (
                said
                == {
                    "socketmap": [b"OK " + FRED, b"NOTFOUND Mailbox does not exist"],
                    "policy": [b"DUNNO", UNKNOWN],
                }[interface]
            )
        with MilterClient(serving.path("/run/smmapd/milter")) as mta:
            mta.connect()
            mta.mail()
            assert mta.rcpt(b"<%b>" % FRED) == CONTINUE
            assert mta.rcpt(b"<%b>" % NOBODY) == UNKNOWN

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("check", "fred@example.org"), os.EX_OK),
            (("check", "nobody@example.org"), 1),
            (("explain", "fred@example.org"), os.EX_OK),
            (("list", "--mailboxes"), os.EX_OK),
        ],
    )
    def test_the_commands_work(self, serving: Root, words: tuple[str, ...], code: int) -> None:
        """On the same store and configuration."""
        done, said = serving.complete("smmapd-gateway", *words)
        assert done == code, said


def test_it_purges_cleanly(installed: Root, before: dict[str, tuple[int, ...]]) -> None:
    """Nothing stays but what belongs to the system, though its configuration was changed."""
    installed.run("dpkg", "--purge", "smmapd-gateway")
    shutil.rmtree(installed.path("/srv/cyrus"))
    after = installed.files()
    # Folders get new times and are compared by mode and owner alone.
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert sorted(path for path in changed if not MAY_CHANGE.match(path)) == []
    assert not [path for path in after.keys() - before.keys() if "smmapd" in path]


def test_nothing_stays_mounted(root: Root) -> None:
    """Mounts were made where nobody else sees them."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert root.folder not in file.read()
