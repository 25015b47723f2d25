"""The service under a real systemd, on clean machines of both Debian releases.

What an administrator does: install, start, change the configuration well and
badly and reload, restart under load, hold a socket by systemd, kill, upgrade,
run a second instance, remove, purge.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.package.site import (
    CONFIGURATION,
    FRED,
    MILTER,
    NOBODY,
    OWN_POLICY,
    OWN_SOCKET,
    QUEUE,
    TOML,
    UNIT,
    Site,
    prepared,
)
from tests.rigs.debian import DEBIAN_12, DEBIAN_13
from tests.rigs.folders import write_text
from tests.rigs.milter import MilterClient
from tests.rigs.processes import run
from tests.rigs.require import require
from tests.rigs.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.clean]

# Less than 30 is what systemd calls OK.
MOST_EXPOSED = 25


@pytest.fixture(scope="module", params=[DEBIAN_12, DEBIAN_13])
def site(request: pytest.FixtureRequest, package: str) -> Iterator[Site]:
    """A machine of each release."""
    require("package")
    with prepared(package, request.param) as made:
        yield made


def test_nothing_is_started_by_the_installation(site: Site) -> None:
    """And the folder of the sockets is there."""
    assert site.systemctl("is-active", UNIT)[1].strip() == "inactive"
    assert site.systemctl("is-enabled", UNIT)[1].strip() == "disabled"
    assert site.machine.run("stat", "-c", "%a %U", "/run/smmapd").strip() == "755 root"


def test_systemd_finds_nothing_wrong(site: Site) -> None:
    """Each unit as it is installed, by the systemd of its release."""
    units = (f"{UNIT}.service", f"{UNIT}.socket", f"{UNIT}@mx2.service")
    for unit in units:
        code, said = site.machine.complete("systemd-analyze", "verify", "--man=no", unit)
        assert (code, said) == (0, "")


@pytest.mark.parametrize("unit", [f"{UNIT}.service", f"{UNIT}@mx2.service"])
def test_a_service_is_little_exposed(site: Site, unit: str) -> None:
    """By systemd's own measure, from 0 to 100 here, of its release."""
    words = ("security", "--no-pager", f"--threshold={MOST_EXPOSED}", unit)
    code, said = site.machine.complete("systemd-analyze", *words)
    assert code == 0, said
    assert "Overall exposure level" in said


def test_it_starts_and_serves(site: Site) -> None:
    """As user cyrus, with what its state is in systemctl's words."""
    code, said = site.systemctl("enable", "--now", UNIT)
    assert code == 0, said + site.machine.journal(UNIT)
    site.serves("socketmap")
    site.serves("policy")
    owner = site.machine.run("stat", "-c", "%U", f"/proc/{site.main_pid}")
    assert owner.strip() == "cyrus"


def test_a_good_reload_counts(site: Site) -> None:
    """The same supervisor goes on with the new configuration."""
    before = site.main_pid
    site.configure(top='mode = "observe"')
    code, said = site.systemctl("reload", UNIT)
    assert code == 0, said + site.machine.journal(UNIT)
    wait_until(
        lambda: site.ask("--front", "policy", "--expect", "ok", NOBODY)[0] == 0,
        "the new configuration counts",
    )
    assert site.main_pid == before
    site.configure()
    assert site.systemctl("reload", UNIT)[0] == 0
    wait_until(
        lambda: site.ask("--front", "policy", "--expect", "no", NOBODY)[0] == 0,
        "the old configuration counts again",
    )


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ('mood = "observe"', "unknown setting"),
        ("[", "is not TOML"),
        ('mode = "perhaps"', "mode"),
    ],
)
def test_a_bad_reload_fails_and_changes_nothing(site: Site, top: str, said: str) -> None:
    """systemctl says that it failed, the journal says why, and the old one serves on."""
    before = site.main_pid
    site.configure(top=top)
    try:
        assert site.systemctl("reload", UNIT)[0] != 0
        assert said in site.machine.journal(UNIT)
        assert site.main_pid == before
        assert site.systemctl("is-active", UNIT)[1].strip() in ("active", "reloading")
    finally:
        site.configure()
    site.serves()


def test_a_file_that_only_root_reads_makes_a_reload_fail(site: Site) -> None:
    """gateway.toml of 0600: root could start it, and every reload would be refused."""
    path = site.machine.root.path(CONFIGURATION)
    os.chmod(path, 0o600)
    try:
        assert site.systemctl("reload", UNIT)[0] != 0
        assert "Permission denied" in site.machine.journal(UNIT)
    finally:
        os.chmod(path, 0o644)
    assert site.systemctl("reload", UNIT)[0] == 0


def test_a_socket_that_only_root_can_make_takes_a_restart(site: Site) -> None:
    """Or a user in the socket's group: the reload fails, and says so."""
    before = site.main_pid
    try:
        site.configure(more=MILTER)
        assert site.systemctl("reload", UNIT)[0] != 0
        told = site.machine.journal(UNIT)
        assert "Operation not permitted" in told
        assert "adduser USER GROUP" in told
        assert site.main_pid == before
        site.serves()
        assert site.systemctl("restart", UNIT)[0] == 0
        site.serves("milter")
        # An administrator that wants it by a reload does what the message says.
        site.machine.run("usermod", "--append", "--groups", "postfix", "cyrus")
        site.configure()
        assert site.systemctl("restart", UNIT)[0] == 0
        site.configure(more=MILTER)
        code, said = site.systemctl("reload", UNIT)
        assert code == 0, said + site.machine.journal(UNIT)
        wait_until(
            lambda: site.ask("--front", "milter", "--expect", "no", NOBODY)[0] == 0,
            "the milter serves",
        )
        owner = site.machine.run("stat", "-c", "%a %U %G", f"{QUEUE}/milter")
        assert owner.strip() == "660 cyrus postfix"
    finally:
        site.machine.run("gpasswd", "--delete", "cyrus", "postfix")
        site.configure()
        site.systemctl("restart", UNIT)
    site.serves()


def test_a_mail_that_is_under_way_is_waited_for(site: Site) -> None:
    """As long as gateway.toml says, where the unit's TimeoutStopSec is shorter, too."""
    drop_in = site.machine.root.path(f"/etc/systemd/system/{UNIT}.service.d")
    os.makedirs(drop_in)
    write_text(f"{drop_in}/short.conf", "[Service]\nTimeoutStopSec=1\n")
    site.configure(top="graceful_timeout = 4", more=MILTER)
    try:
        assert site.systemctl("daemon-reload")[0] == 0
        assert site.systemctl("restart", UNIT)[0] == 0
        with MilterClient(site.machine.root.path(f"{QUEUE}/milter")) as mta:
            mta.connect()
            mta.mail()
            code, said = site.systemctl("stop", UNIT)
            assert code == 0, said
            # It was we who gave up on the mail, and not systemd on us.
            assert site.machine.property(UNIT, "Result") == "success", site.machine.journal(UNIT)
    finally:
        shutil.rmtree(drop_in)
        site.systemctl("daemon-reload")
        site.configure()
        assert site.systemctl("start", UNIT)[0] == 0
    site.serves()


@dataclass
class Load:
    """Asks again and again until told to stop; collects what is wrong."""

    site: Site
    wrong: list[str] = field(default_factory=list)
    answers: int = 0

    def ask(self, over: threading.Event) -> None:
        """No good recipient is ever refused, and no unknown one accepted."""
        while not over.is_set():
            for recipient, bad in ((FRED, "no"), (NOBODY, "ok")):
                _, said = self.site.ask("--front", "policy", recipient)
                means = said.split("\t")[3] if said.count("\t") >= 4 else "none"
                self.answers += means != "none"
                if means == bad:
                    self.wrong.append(said)


def test_restarts_and_kills_under_load(site: Site) -> None:
    """Each answer is right, and the service comes back by itself."""
    load, over = Load(site), threading.Event()
    thread = threading.Thread(target=load.ask, args=(over,))
    thread.start()
    try:
        for _ in range(2):
            assert site.systemctl("restart", UNIT)[0] == 0
        before = site.main_pid
        site.machine.run("sh", "-c", f"kill -KILL {before}")
        wait_until(
            lambda: (
                site.main_pid not in (0, before)
                and site.systemctl("is-active", UNIT)[1].strip() == "active"
            ),
            "systemd has started it again",
        )
        site.serves()
    finally:
        over.set()
        thread.join(timeout=60)
    assert not thread.is_alive()
    assert load.wrong == []
    assert load.answers > 0


def test_a_socket_that_systemd_holds(site: Site) -> None:
    """A restart refuses nobody: the socket is there throughout."""
    site.configure(socketmap='"fd:socketmap"')
    assert site.systemctl("stop", UNIT)[0] == 0
    code, said = site.systemctl("start", f"{UNIT}.socket")
    assert code == 0, said
    named = ["--front", "socketmap", "--socket", "unix:/run/smmapd/socketmap"]
    code, said = site.ask(*named, "--expect", "ok", FRED)  # starts the service
    assert code == 0, said + site.machine.journal(UNIT)
    assert site.systemctl("is-active", UNIT)[1].strip() == "active"
    assert site.systemctl("restart", UNIT)[0] == 0
    assert site.ask(*named, "--expect", "no", NOBODY)[0] == 0
    assert site.systemctl("stop", f"{UNIT}.socket", UNIT)[0] == 0
    site.configure()
    assert site.systemctl("start", UNIT)[0] == 0
    site.serves("socketmap")


def test_a_second_instance(site: Site) -> None:
    """The template serves a configuration of its own."""
    root = site.machine.root
    text = TOML.format(top="", socketmap=OWN_SOCKET, policy=OWN_POLICY, more="").replace(
        "/run/smmapd/", "/run/smmapd/mx2-"
    )
    write_text(root.path("/etc/smmapd/mx2.toml"), text)
    code, said = site.systemctl("start", f"{UNIT}@mx2")
    assert code == 0, said + site.machine.journal(f"{UNIT}@mx2")
    code, said = site.machine.complete(
        UNIT, "ask", "-c", "/etc/smmapd/mx2.toml", "--expect", "ok", FRED
    )
    assert code == 0, said
    assert site.systemctl("reload", f"{UNIT}@mx2")[0] == 0
    site.serves()


def test_an_upgrade_keeps_the_configuration_and_serves_on(site: Site) -> None:
    """The same package as a later version: a restart, and the administrator's file stays.

    The instance that runs is restarted, too.
    """
    root = site.machine.root
    later = _repacked(site, "9.9")
    before = site.main_pid
    instance = site.machine.property(f"{UNIT}@mx2", "MainPID")
    assert instance != "0"
    with open(root.path(CONFIGURATION), encoding="utf-8") as file:
        own = file.read()
    words = ("--force-confdef", "--force-confold", "--install", later)
    code, said = site.machine.complete("dpkg", *words)
    assert code == 0, said
    with open(root.path(CONFIGURATION), encoding="utf-8") as file:
        assert file.read() == own
    assert site.main_pid not in (0, before)
    assert site.machine.property(f"{UNIT}@mx2", "MainPID") not in ("0", instance)
    site.serves()


def test_an_upgrade_that_would_refuse_the_configuration_leaves_the_old_one_serving(
    site: Site,
) -> None:
    """dpkg says what is wrong with it; the instance, whose configuration is good, is restarted."""
    before = site.main_pid
    instance = site.machine.property(f"{UNIT}@mx2", "MainPID")
    shutil.copy(site.machine.root.path(CONFIGURATION), site.machine.root.path("/srv/good.toml"))
    site.configure(top='mood = "observe"')
    try:
        later = _repacked(site, "9.10")
        words = ("--force-confdef", "--force-confold", "--install", later)
        code, said = site.machine.complete("dpkg", *words)
        assert code == 0, said
        assert f"{CONFIGURATION}:2: mood: unknown setting" in said
        assert f"systemctl restart {UNIT}.service" in said
        assert site.main_pid == before
        assert site.machine.property(f"{UNIT}@mx2", "MainPID") not in ("0", instance)
        for recipient, expected in ((FRED, "ok"), (NOBODY, "no")):
            front = ("-c", "/srv/good.toml", "--front", "policy")
            code, said = site.ask(*front, "--expect", expected, recipient)
            assert code == 0, said
    finally:
        site.configure()
    assert site.systemctl("restart", UNIT)[0] == 0
    site.serves()


def _repacked(site: Site, version: str) -> str:
    """The path inside of the package with another version number."""
    root = site.machine.root
    folder = root.path("/srv/later")
    run(["dpkg-deb", "--raw-extract", site.package, folder])
    control = f"{folder}/DEBIAN/control"
    with open(control, encoding="utf-8") as file:
        lines = file.read().splitlines()
    changed = [f"Version: {version}" if each.startswith("Version:") else each for each in lines]
    write_text(control, "\n".join(changed) + "\n")
    run(["dpkg-deb", "--root-owner-group", "--build", folder, root.path("/srv/later.deb")])
    shutil.rmtree(folder)
    return "/srv/later.deb"


def test_removed_and_purged_it_leaves_nothing_that_runs(site: Site) -> None:
    """Service and instance stop with the package; a purge takes the configuration, too."""
    code, said = site.machine.complete("dpkg", "--remove", UNIT)
    assert code == 0, said
    for unit in (UNIT, f"{UNIT}@mx2"):
        assert site.systemctl("is-active", unit)[1].strip() in ("inactive", "failed", "unknown")
    # What the administrator has made is the administrator's.
    os.unlink(site.machine.root.path("/etc/smmapd/mx2.toml"))
    assert os.path.exists(site.machine.root.path(CONFIGURATION))
    code, said = site.machine.complete("dpkg", "--purge", UNIT)
    assert code == 0, said
    left = site.machine.run(
        "find", "/etc", "/usr", "/var/lib/systemd", "/run", "-xdev", "-name", "*smmapd*"
    ).split()
    # The accounts stay, as Debian's policy wants it (9.2); so does what systemd knows of them.
    assert [path for path in left if "/sysusers" not in path] == []
