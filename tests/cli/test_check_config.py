"""`check-config`: what it finds in the configuration and in the world, and how to fix it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator

import pytest

from tests.rigs.checkconfig import check, findings, postconf, toml
from tests.rigs.commandline import Site, make_site
from tests.rigs.folders import make_folder
from tests.rigs.require import require, require_root


@pytest.fixture
def world() -> Iterator[Site]:
    """A site in a folder that every user can reach, with the folder of its sockets."""
    folder = make_folder("cc")
    try:
        site = make_site(folder)
        site.configure(toml())
        os.mkdir(os.path.join(folder, "run"), 0o755)
        yield site
    finally:
        shutil.rmtree(folder)


def test_a_sound_site(world: Site) -> None:
    """No error and the exit code 0; what was looked at is shown."""
    done = check(world)
    assert (done.code, done.err) == (0, "")
    assert findings(done, "error") == []
    shown = "\n".join(findings(done, "ok"))
    for part in ("mailboxes.db (flat, 10 records)", "quotas.db", "alias file", "not installed"):
        assert part in shown
    assert done.lines[-1].startswith("0 errors, ")


def test_quiet_prints_only_what_needs_a_hand(world: Site) -> None:
    """Only what needs a hand."""
    assert findings(check(world, "-q"), "ok") == []


def test_json_is_one_object_a_finding(world: Site) -> None:
    """One object a finding."""
    found = check(world, "--json").objects
    assert {each["level"] for each in found} <= {"ok", "warning", "error"}
    assert all(each["mend"] for each in found if each["level"] != "ok")


def test_a_wrong_gateway_toml(world: Site) -> None:
    """Every problem of it, and nothing else."""
    world.configure('wurkers = 2\n[policy]\nlisten = ["unix:relative"]\n')
    done = check(world)
    assert done.code == os.EX_CONFIG
    errors = findings(done, "error")
    assert len(errors) >= 2
    assert all(world.config in each for each in errors)


def test_a_wrong_imapd_conf(world: Site) -> None:
    """File and line."""
    with open(world.store.conf_path, "a", encoding="ascii") as file:
        file.write("virtdomains: perhaps\n")
    done = check(world)
    assert done.code == os.EX_CONFIG
    # A start and Cyrus' own options: one mistake is told once.
    assert sum("virtdomains" in each for each in findings(done, "error")) == 1


def test_a_missing_certificate_is_told_once(world: Site) -> None:
    """With its line, though the store needs it as well as a start."""
    tables = toml(top='store = "socketmap+tls://store.example.org:12346"')
    world.configure(tables + '[tls]\ncertificate = "{root}/none.crt"\n')
    (told,) = (each for each in findings(check(world), "error") if "none.crt" in each)
    assert "tls.certificate: " in told


def test_files_of_the_scope(world: Site) -> None:
    """A missing alias file is an error, a line that makes no sense a warning."""
    done = check(world, "--no-aliases")
    assert done.code == os.EX_CONFIG
    assert any("aliases: cannot be read" in each for each in findings(done, "error"))
    with open(os.path.join(world.root, "aliases"), "w", encoding="ascii") as file:
        file.write("sales: fred\nnonsense\n")
    done = check(world)
    assert done.code == 0
    assert any("aliases:2: " in each for each in findings(done, "warning"))


def test_a_mailbox_list_without_any_record(world: Site) -> None:
    """An error, unless the site says that it has no mailbox."""
    with open(os.path.join(world.store.configdirectory, "mailboxes.db"), "wb"):
        pass
    done = check(world)
    assert done.code == os.EX_CONFIG
    assert any("has no mailbox at all" in each for each in findings(done, "error"))
    world.configure(toml().replace("[cyrus]", "[cyrus]\nallow_empty_list = true"))
    assert not any("has no mailbox" in each for each in findings(check(world), "error"))


def test_databases_that_are_missing_or_damaged(world: Site) -> None:
    """A missing mailbox list is an error, a missing userdeny database is none."""
    conf = world.store.configdirectory
    os.unlink(os.path.join(conf, "user_deny.db"))
    assert check(world).code == 0
    with open(os.path.join(conf, "quotas.db"), "wb") as file:
        file.write(b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0damaged")
    os.unlink(os.path.join(conf, "mailboxes.db"))
    done = check(world)
    assert done.code == os.EX_CONFIG
    errors = findings(done, "error")
    assert any("mailboxes.db does not exist" in each for each in errors)
    assert any("quotas.db" in each for each in errors)
    os.symlink("mailboxes.db", os.path.join(conf, "mailboxes.db"))
    errors = findings(check(world), "error")
    assert any("cannot open it: Too many levels of symbolic links" in each for each in errors)


def test_databases_that_the_gateways_user_cannot_read(world: Site) -> None:
    """Tried as that user; the folder or file that is in the way is named with its mode."""
    require_root("only root becomes another user")
    world.configure(toml().replace('user = ""', 'user = "nobody"'))
    assert findings(check(world), "error") == []
    conf = world.store.configdirectory
    os.chmod(os.path.join(conf, "quotas.db"), 0o600)
    done = check(world)
    assert done.code == os.EX_CONFIG
    (problem,) = findings(done, "error")
    assert "may not read it (-rw------- root:root)" in problem
    os.chmod(conf, 0o700)
    problems = findings(check(world), "error")
    assert len(problems) == 3
    assert all(f"user nobody may not enter {conf} (drwx------ root:root)" in p for p in problems)


def test_a_user_that_does_not_exist(world: Site) -> None:
    """It is named, whichever user runs the check."""
    world.configure(toml().replace('user = ""', 'user = "no-such-user"'))
    done = check(world)
    assert "no-such-user" in done.out


def test_a_user_that_does_not_exist_beside_a_missing_imapd_conf(world: Site) -> None:
    """One fault does not hide the other."""
    require_root("only root becomes another user")
    changed = toml().replace('user = ""', 'user = "no-such-user"')
    world.configure(changed.replace("{root}/imapd.conf", "/nonexistent/imapd.conf"))
    errors = findings(check(world), "error")
    assert any(f'{world.config}: user: there is no user "no-such-user"' in each for each in errors)
    assert any("/nonexistent/imapd.conf: cannot read" in each for each in errors)


def test_faults_of_folders_and_groups_of_sockets_are_found(world: Site) -> None:
    """Folders that are missing or loosely writable, files in the way, groups that are not there."""
    os.rmdir(os.path.join(world.root, "run"))
    done = check(world)
    assert done.code == os.EX_CONFIG
    assert sum("create the folder: install -d" in each for each in findings(done, "error")) == 2
    os.mkdir(os.path.join(world.root, "run"))
    os.chmod(os.path.join(world.root, "run"), 0o775)
    done = check(world)
    assert any("may be written by its group" in each for each in findings(done, "warning"))
    with open(os.path.join(world.root, "run", "policy"), "w", encoding="ascii"):
        pass
    world.configure(toml().replace("run/socketmap", "run/socketmap?group=no-such-group"))
    errors = findings(check(world), "error")
    assert any("is not a socket" in each for each in errors)
    assert any("no-such-group" in each for each in errors)


def test_a_socket_for_the_whole_net(world: Site) -> None:
    """It answers everybody, which is told."""
    world.configure(toml().replace("127.0.0.1:12347", "0.0.0.0:12347"))
    assert any("other machines" in each for each in findings(check(world), "warning"))


@pytest.mark.real
@pytest.mark.parametrize("installed", [True, False])
def test_only_a_postfix_that_is_installed_need_be_let_in(world: Site, installed: bool) -> None:
    """Its user may be left of one that was removed."""
    require("postfix")
    require_root("only root becomes another user")
    path = os.path.join(world.root, "run", "policy")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.chmod(path, 0o600)
        done = check(world, postconf=postconf() if installed else None)
    barred = [each for each in findings(done, "warning") if "user postfix may not connect" in each]
    assert len(barred) == installed


def test_postfix_asks_our_socket(world: Site) -> None:
    """The service and the parameter are named."""
    asked = f"socketmap:unix:{world.root}/run/socketmap:cyrus"
    done = check(world, postconf=postconf(map=asked))
    assert (done.code, findings(done, "warning")) == (
        0,
        [each for each in findings(done, "warning") if "postfix" not in each.split()[0]],
    )
    assert any("smtp/inet asks [socketmap]" in each for each in findings(done, "ok"))


def test_postfix_asks_a_socketmap_that_observes(world: Site) -> None:
    """It would accept everybody, and bounce later."""
    asked = postconf(map=f"socketmap:unix:{world.root}/run/socketmap:cyrus")
    world.configure(toml(top='mode = "observe"'))
    done = check(world, postconf=asked)
    assert any("which observes" in each for each in findings(done, "warning"))
    world.configure(toml(top='mode = "enforce"'))
    done = check(world, postconf=asked)
    assert not any("observes" in each for each in findings(done, "warning"))


def test_a_chroot_out_of_which_postfix_cannot_reach(world: Site) -> None:
    """The path is another one inside; where to listen instead is said."""
    asked = f"socketmap:unix:{world.root}/run/socketmap:cyrus"
    done = check(world, postconf=postconf(map=asked, chroot="y"))
    assert done.code == os.EX_CONFIG
    assert any("smtp/inet is chrooted" in each for each in findings(done, "error"))
    assert "/var/spool/postfix/smmapd/socketmap" in done.out
    # Below the queue directory it is the same path from within.
    inside = postconf(map="socketmap:unix:run/socketmap:cyrus", chroot="y", queue=world.root)
    assert check(world, postconf=inside).code == 0


def test_postfix_that_asks_nobody(world: Site) -> None:
    """A gateway that nobody asks does nothing."""
    done = check(world, postconf=postconf(chroot="y"))
    warnings = findings(done, "warning")
    assert any("no smtpd asks" in each for each in warnings)
    assert any("outside of /var/spool/postfix/" in each for each in warnings)


def test_domains_of_postfix_and_of_the_scope_are_compared(world: Site) -> None:
    """What Postfix takes mail for and [scope] does not know, and the other way round."""
    done = check(world, postconf=postconf(relay="example.net", mydestination="mx.example.org"))
    warnings = findings(done, "warning")
    assert any("example.net is in relay_domains and not in [scope]" in each for each in warnings)
    assert any("mx.example.org is in mydestination" in each for each in warnings)
    assert any("example.org is in [scope] and Postfix takes no mail" in each for each in warnings)
    assert not any("localhost" in each for each in warnings)
    table = check(world, postconf=postconf(relay="hash:/etc/postfix/relay"))
    assert any("were not compared" in each for each in findings(table, "ok"))


def test_aliases_of_postfix(world: Site) -> None:
    """Files that [scope] does not name, and tables that cannot be read."""
    virtual = os.path.join(world.root, "virtual")
    with open(virtual, "w", encoding="ascii") as file:
        file.write("a@example.org fred\n")
    done = check(world, postconf=postconf(aliases=f"hash:{virtual} ldap:/etc/ldap.cf"))
    warnings = findings(done, "warning")
    assert any(virtual in each for each in warnings)
    assert any("ldap:/etc/ldap.cf" in each for each in warnings)
    known = postconf(aliases=f"hash:{world.root}/aliases")
    assert not any(
        "virtual_alias_maps" in e for e in findings(check(world, postconf=known), "warning")
    )


def test_a_postfix_that_does_not_answer(world: Site) -> None:
    """Its own words are shown."""
    done = check(world, postconf="echo 'postconf: fatal: no main.cf' >&2; exit 1")
    assert done.code == 0
    assert any("postconf: fatal: no main.cf" in each for each in findings(done, "warning"))


CYRUS_CONF = """
START {{
  recover cmd="ctl_cyrusdb -r"
}}
SERVICES {{
  imap\tcmd="imapd -U 30" listen="imap" prefork=0
  # smmap cmd="smmapd" listen="/nowhere"
  {entry}
}}
"""


@pytest.mark.parametrize(
    ("entry", "level", "part"),
    [
        ("", "ok", "master starts no smmapd"),
        ('smmap cmd="smmapd -U 0" listen="{root}/run/master" prefork=1', "ok", "smmap starts smmapd"),
        ('smmap cmd="smmapd" listen="{root}/none/smmap"', "error", "none does not exist"),
        ('smmap cmd="smmapd" listen="{root}/run/socketmap"', "error", "both listen on"),
        ('smmap cmd="smmapd"', "error", "has no listen"),
        ('smmap cmd="smmapd" listen="12345" maxchild=8', "warning", "has maxchild=8"),
        ('smmap cmd="smmapd" listen="12345" maxchild=16', "ok", "starts smmapd on 12345"),
        ('smmap cmd="{root}/smmapd" listen="{root}/run/master"', "error", "not executable"),
        ('other cmd="smmapd" listen="{root}/run/master"', "warning", "service is smmap"),
        ('smmap cmd="smmapd -p" listen="{root}/run/master"', "warning", "skip_plus"),
        ('smmap cmd="smmapd -C /etc/other.conf" listen="{root}/run/master"', "warning", "/etc/other.conf"),
    ],
)  # fmt: skip
def test_an_entry_for_smmapd_in_cyrus_conf_is_told(
    world: Site, entry: str, level: str, part: str
) -> None:
    """master's smmapd entry beside the gateway."""
    with open(os.path.join(world.root, "cyrus.conf"), "w", encoding="ascii") as file:
        file.write(CYRUS_CONF.format(entry=entry.replace("{root}", world.root)))
    done = check(world)
    assert any("cyrus.conf" in each and part in each for each in findings(done, level))
    assert done.code == (os.EX_CONFIG if level == "error" else 0)


def test_nothing_is_changed(world: Site) -> None:
    """Not a file comes, goes or gets another mode."""

    def seen() -> set[tuple[str, int]]:
        return {
            (os.path.join(folder, name), stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode))
            for folder, folders, files in os.walk(world.root)
            for name in (*folders, *files)
        }

    check(world)
    before = seen()
    check(world)
    assert seen() == before


def test_an_older_mailbox_list(world: Site) -> None:
    """The options that had other defaults in its time are asked for, unless they are there."""
    world.store.older = True
    world.store.write()
    (found,) = [line for line in findings(check(world), "warning") if "up to 3.4" in line]
    assert "unixhierarchysep (no before 3.0, yes here)" in found
    options = ("unixhierarchysep", "lmtp_downcase_rcpt", "altnamespace")
    world.store.options.update(dict.fromkeys(options, "yes"))
    world.store.write()
    assert not [line for line in findings(check(world), "warning") if "up to 3.4" in line]
