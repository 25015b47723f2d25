"""The two forms of one snippet say the same, and rules are written as Sendmail reads them."""

from __future__ import annotations

import re

from tests.contrib.snippets import main_cf, rules, text


def lines(name: str, first: str) -> list[str]:
    """The lines of a file that begin with one of these letters."""
    return [line for line in text(name).splitlines() if line.startswith(tuple(first))]


def test_both_forms_of_the_socket_map_say_the_same() -> None:
    """C, K and R lines of the .mc and the .cf are equal."""
    assert lines("sendmail/socketmap.mc", "CKR") == lines("sendmail/socketmap.cf", "CKR")
    assert rules("socketmap.mc") == rules("socketmap.cf")


def test_the_sides_of_a_rule_are_divided_by_tabs() -> None:
    """A blank in the place of the TAB would make another rule of it."""
    for rule in rules("socketmap.mc"):
        assert re.fullmatch(r"R[^\t]+\t+[^\t]+", rule)


def test_both_forms_of_the_milter_say_the_same() -> None:
    """Socket, flags and timeouts are equal."""
    found = re.search(r"`(S=[^']*)'", text("sendmail/milter.mc"))
    assert found is not None
    assert f"Xsmmapd, {found[1]}" in lines("sendmail/milter.cf", "X")


def test_a_policy_service_that_is_away_costs_no_mail() -> None:
    """Nothing is refused for good while the gateway cannot be asked."""
    settings = main_cf()
    assert "default_action=DEFER_IF_PERMIT" in settings["smtpd_recipient_restrictions"]
    assert "default_action=tempfail" in settings["smtpd_milters"]
