"""The two forms of one snippet say the same, and rules are written as Sendmail reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import config
from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.frontends.socketmap_snippets import ROUTERS, RULES
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Verdict
from tests.interfaces.kinds import expected
from tests.support.snippets import CONTRIB, main_cf, rules, text


def lines(name: str, first: str) -> list[str]:
    """The lines of a file that begin with one of these letters."""
    return [line for line in text(name).splitlines() if line.startswith(tuple(first))]


def test_every_form_of_the_socket_map_says_the_same() -> None:
    """What print-config prints, for Exim too; in the .cf a virtusertable is a comment."""
    routers = text("exim/450_smmapd_routers")
    assert routers == routers.partition("\n\n")[0] + "\n" + ROUTERS, "make it again: make reference"
    assert rules("socketmap.mc") == list(RULES)
    assert rules("smmapd.m4")[:-1] == list(RULES)
    plain = [line.removeprefix("#") for line in rules("socketmap.cf") if re.match("#?R", line)]
    assert plain == [line for line in RULES if line.startswith("R")]
    for letter in "CK":
        assert lines("sendmail/socketmap.mc", letter) == lines("sendmail/socketmap.cf", letter)


# Exim's condition: what follows the length of an answer, and what it makes of it.
_CONDITION = re.compile(r"\{\\N\^\\d\+:(.*?)\\N\}(?:\\\n *)?\{(.*?)\}\{")


def exim_says(payload: bytes) -> str:
    """What the routers of contrib/exim make of a socketmap's answer; nothing of who gets the mail."""
    data = text("exim/450_smmapd_routers").partition("  data = ")[2]
    for pattern, action in _CONDITION.findall(data):
        found = re.match(pattern, payload.decode() + ",")
        if found is not None:
            return str(action.replace("$1", found[1] if found.groups() else ""))
    return re.search(r"\n *(:defer: .*?)\}", data)[1]  # type: ignore[index]


def sendmail_says(payload: bytes) -> str:
    """The error that the rules of contrib/sendmail make of it; nothing of who gets the mail."""
    status = payload.split(b" ")[0]
    if status == b"OK":
        return ""
    asked = {b"TEMP": "<TMPF>", b"NOTFOUND": "<NO>", b"PERM": "<NO>"}[status]  # map.c, -T, -f
    (rule,) = [each for each in rules("socketmap.mc") if each.split("\t")[0].endswith(asked)]
    return rule.split('"')[1]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_sendmail_and_exim_know_every_kind(kind: Kind) -> None:
    """What passes is deferred, what is final is refused, by Exim with the codes of lmtpd.

    Exim defers a PERM that it does not know: it may be a fault of another smmapd's.
    """
    row = expected(kind)
    said = socketmap_payload(Verdict(kind, kind.text), b"fred@example.org")
    by_sendmail, by_exim = sendmail_says(said), exim_says(said)
    if kind.accepts:
        assert by_sendmail == by_exim == ""
        return
    assert by_sendmail.startswith("5" if row.final else "4"), kind.name
    unknown = row.status == b"PERM" and not kind.text
    action = "defer" if unknown or not row.final else "fail"
    codes = "451 4.3.0" if unknown else f"{row.code} {row.enhanced.decode()}"
    where = f"the router of contrib/exim does not know {kind.name}: make reference"
    assert by_exim.startswith(f":{action}: {codes} "), where


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_texts_can_stand_in_exims_conditions(kind: Kind) -> None:
    """Neither a pattern nor an expansion is changed by them."""
    assert re.fullmatch(rb"[A-Za-z /]*", kind.text)


def test_the_sides_of_a_rule_are_divided_by_tabs() -> None:
    """A blank in the place of the TAB would make another rule of it."""
    for rule in RULES:
        if rule.startswith("R"):
            assert re.fullmatch(r"R[^\t]+\t+[^\t]+", rule)


def test_both_forms_of_the_milter_say_the_same() -> None:
    """Socket, flags and timeouts are equal."""
    found = re.search(r"`(S=[^']*)'", text("sendmail/milter.mc"))
    assert found is not None
    assert f"Xsmmapd, {found[1]}" in lines("sendmail/milter.cf", "X")


def test_a_policy_service_that_is_away_costs_no_mail() -> None:
    """Nothing is refused for good while the gateway cannot be asked."""
    assert "default_action=DEFER_IF_PERMIT" in main_cf("policy.cf")["smtpd_recipient_restrictions"]
    assert "default_action=tempfail" in main_cf("milter.cf")["smtpd_milters"]


def test_our_own_users_are_permitted_before_anybody_is_refused() -> None:
    """A list that begins with reject_unauth_destination would refuse the site's own mail."""
    words = main_cf("policy.cf")["smtpd_recipient_restrictions"].split()
    assert words[:4] == [
        "permit_mynetworks",
        "permit_sasl_authenticated",
        "reject_unauth_destination",
        "check_policy_service",
    ]


@pytest.mark.parametrize("path", sorted(CONTRIB.glob("mx-*.toml")), ids=lambda each: each.name)
def test_each_example_is_a_configuration(path: Path) -> None:
    """It is read without a mistake, and its comments name files that there are."""
    config.load(str(path))
    comments = re.findall(r"^# (.*)", path.read_text(), re.MULTILINE)
    for name in re.findall(r"(?<!\S)(\w+/(?:\w+\.\w+)?)", "\n".join(comments)):
        assert (CONTRIB / name).exists(), name
