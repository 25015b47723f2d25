"""`print-config`: pieces for other programs, for the sockets that are configured."""

from __future__ import annotations

import configparser
import os
import re

import pytest

from gateway.cli.snippets.systemd import unit
from gateway.config import reference
from tests.rigs.commandline import ROOT, Site

USUAL = """
[socketmap]
listen = ["unix:{folder}/socketmap"]
[policy]
listen = ["unix:{folder}/policy"]
[milter]
listen = ["unix:{folder}/milter"]
[scope]
domains = ["example.org", "virtual.example"]
"""
QUEUE = "/var/spool/postfix/smmapd"


def printed(site: Site, program: str, toml: str) -> str:
    """What print-config prints for a gateway.toml."""
    site.configure(toml)
    done = site.run("print-config", program)
    assert (done.code, done.err) == (0, "")
    return done.out


def contrib(*names: str) -> str:
    """A file of contrib."""
    with open(os.path.join(ROOT, "contrib", *names), encoding="utf-8") as file:
        return file.read()


def settings(text: str) -> str:
    """What counts of a configuration: no comments, one blank for each run of white space."""
    kept = [line for line in text.splitlines() if not re.match(r"\s*(#|dnl)", line)]
    return " ".join(" ".join(kept).split())


def main_cf(text: str) -> dict[str, str]:
    """Settings by name; a line that begins with a blank continues one."""
    joined = re.sub(r"\n[ \t]+", " ", re.sub(r"(?m)^#.*\n", "", text))
    pairs = (line.partition("=") for line in joined.splitlines())
    return {name.strip(): " ".join(value.split()) for name, equals, value in pairs if equals}


def test_postfix_is_what_contrib_has(site: Site) -> None:
    """For the usual sockets, but for delivery, of which the gateway knows nothing."""
    toml = USUAL.replace("{folder}", QUEUE).replace(', "virtual.example"', "")
    printed_ = main_cf(printed(site, "postfix", toml))
    expected: dict[str, str] = {}
    for name in ("socketmap.cf", "policy.cf", "milter.cf"):
        expected |= main_cf(contrib("postfix", name))
    for delivery in ("relay_transport", "lmtp_quote_rfc821_envelope"):
        del expected[delivery]
    assert printed_ == expected


def test_a_chrooted_smtpd(site: Site) -> None:
    """A table is asked by way of proxymap; policy and milter must listen elsewhere."""
    script = os.path.join(site.root, "postconf")
    with open(script, "w", encoding="ascii") as file:
        file.write(
            "#!/bin/sh\ncase $* in *-M*) echo 'smtp inet n - y - - smtpd' ;;\n"
            "*-x*) echo 'queue_directory = /var/spool/postfix' ;; esac\n"
        )
    os.chmod(script, 0o755)
    site.configure(USUAL.replace("{folder}", "/run/smmapd"))
    path = f"{site.root}:{os.environ['PATH']}"
    out = site.run("print-config", "postfix", env={"PATH": path}).out
    assert "relay_recipient_maps = proxy:socketmap:unix:/run/smmapd/socketmap:cyrus\n" in out
    for name in ("policy", "milter"):
        assert f"# /var/spool/postfix/smmapd/{name} and write unix:smmapd/{name} here." in out
    site.configure(USUAL.replace("{folder}", QUEUE))
    out = site.run("print-config", "postfix", env={"PATH": path}).out
    assert "proxy:" not in out
    assert "chrooted" not in out


def test_sendmail_is_what_contrib_has(site: Site) -> None:
    """The milter and the socket map; contrib's files are tried in a real Sendmail."""
    out = printed(site, "sendmail", USUAL.replace("{folder}", "/run/smmapd"))
    for name in ("milter.mc", "socketmap.mc"):
        assert settings(contrib("sendmail", name)) in settings(out)


def test_exim_is_what_contrib_has(site: Site) -> None:
    """Macros, routers and transport; contrib's files are tried in the real Exims."""
    toml = USUAL.replace("{folder}", "/run/smmapd").replace(', "virtual.example"', "")
    out = settings(printed(site, "exim", toml))
    for name in ("000_smmapd_macros", "450_smmapd_routers", "30_smmapd_transport"):
        assert settings(contrib("exim", name)) in out


@pytest.mark.parametrize(
    ("listen", "postfix", "sendmail"),
    [
        ("unix:/run/x/s?mode=0666", "socketmap:unix:/run/x/s:cyrus", " local:/run/x/s"),
        ("inet:127.0.0.1:12345", "socketmap:inet:127.0.0.1:12345:cyrus", " inet:12345@127.0.0.1"),
        ("inet:[::1]:12345", "socketmap:inet:[::1]:12345:cyrus", " inet:12345@[::1]"),
    ],
)
def test_sockets_of_every_kind(site: Site, listen: str, postfix: str, sendmail: str) -> None:
    """In each program's own words."""
    toml = f'[socketmap]\nlisten = ["{listen}"]\n'
    assert f"relay_recipient_maps = {postfix}\n" in printed(site, "postfix", toml)
    assert f"Kcyrus socket -f -a<OK> -T<TMPF>{sendmail}\n" in printed(site, "sendmail", toml)


def test_the_mta_does_on_errors_what_the_gateway_would(site: Site) -> None:
    """What the MTA does while nobody answers is what the gateway would do."""
    toml = 'on_error = "accept"\n' + USUAL.replace("{folder}", QUEUE)
    out = printed(site, "postfix", toml)
    assert "default_action=DUNNO" in out
    assert "default_action=accept" in out
    assert "F=T" not in printed(site, "sendmail", toml)


def test_cyrus_gets_a_drop_in_with_the_same_service(site: Site) -> None:
    """The drop-in with the same service, store and options."""
    toml = f'[cyrus]\nimapd_conf = "{site.store.conf_path}"\nservice = "lookup"\nskip_plus = true\n'
    out = printed(site, "cyrus", toml + '[socketmap]\nlisten = ["inet:127.0.0.1:1"]\n')
    (entry,) = [line.strip() for line in out.splitlines() if "cmd=" in line]
    assert entry.startswith("lookup  cmd=")
    assert f'smmapd -C {site.store.conf_path} -p" listen="/' in entry


def test_systemd_gets_a_service_and_a_socket_unit_for_each_fd(site: Site) -> None:
    """A service with the folders of its sockets, and a socket unit for each fd:."""
    toml = USUAL.replace("unix:{folder}/milter", "fd:milter").replace("{folder}", "/run/smmapd")
    out = printed(site, "systemd", toml.replace("/run/smmapd/policy", QUEUE + "/policy"))
    service, socket = re.split(r"^# /etc/systemd/system/.*\.socket$", out, flags=re.MULTILINE)
    found = dict(line.split("=", 1) for line in service.splitlines() if re.match(r"\w+=", line))
    assert found["ExecStart"].endswith(f"smmapd-gateway serve -c {site.config}")
    assert found["ReadWritePaths"] == f"-/run/smmapd -{QUEUE}"
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(socket)
    assert parsed["Socket"]["FileDescriptorName"] == "milter"


def test_systemd_is_what_contrib_has() -> None:
    """There is one unit; the one for several instances differs in its configuration alone."""
    own = contrib("systemd", "smmapd-gateway.service")
    assert own[own.index("[Unit]") :] == unit()
    several = contrib("systemd", "smmapd-gateway@.service")
    expected = unit(config="/etc/smmapd/%i.toml")
    assert several[several.index("[Unit]") :].replace(" (%i)", "") == expected


def test_prometheus_gets_the_admin_listener_as_a_target(site: Site) -> None:
    """The admin listener as a target; without a TCP socket there is none."""
    toml = USUAL.replace("{folder}", "/run/smmapd")
    assert '- targets: ["127.0.0.1:9625"]' in printed(site, "prometheus", toml)
    out = printed(site, "prometheus", toml + '[admin]\nlisten = ["unix:/run/smmapd/admin"]\n')
    assert all(line.startswith("#") for line in out.splitlines())


def test_a_front_end_that_is_off(site: Site) -> None:
    """It is left out; where nothing is left, that is said."""
    toml = '[policy]\nlisten = ["unix:/run/x/p"]\n[scope]\ndomains = ["a.org"]\n'
    assert "smtpd_milters" not in printed(site, "postfix", toml)
    assert "dnl socket in listen of [socketmap] or [milter]." in printed(site, "sendmail", toml)
    assert "# socket in listen of [socketmap]." in printed(site, "exim", toml)


def test_the_example_needs_no_configuration(site: Site) -> None:
    """It is what one begins with."""
    done = site.run("print-config", "example", "-c", "/nowhere/gateway.toml")
    assert (done.code, done.err) == (0, "")
    assert done.out == reference.example()


def test_an_unknown_program(site: Site) -> None:
    """The known ones are named."""
    done = site.run("print-config", "qmail")
    assert done.code == os.EX_USAGE
    assert "prometheus" in done.err
