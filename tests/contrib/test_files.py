"""The two forms of one snippet say the same, and rules are written as Sendmail reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import config
from gateway.frontends.socketmap_snippets import RULES
from tests.support.snippets import CONTRIB, main_cf, rules, text


def lines(name: str, first: str) -> list[str]:
    """The lines of a file that begin with one of these letters."""
    return [line for line in text(name).splitlines() if line.startswith(tuple(first))]


def test_every_form_of_the_socket_map_says_the_same() -> None:
    """The rules are those that print-config prints; in the .cf a virtusertable is a comment."""
    assert rules("socketmap.mc") == list(RULES)
    assert rules("smmapd.m4")[:-1] == list(RULES)
    plain = [line.removeprefix("#") for line in rules("socketmap.cf") if re.match("#?R", line)]
    assert plain == [line for line in RULES if line.startswith("R")]
    for letter in "CK":
        assert lines("sendmail/socketmap.mc", letter) == lines("sendmail/socketmap.cf", letter)


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
