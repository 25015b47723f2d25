"""What postconf prints, taken apart."""

from __future__ import annotations

import pytest

from gateway.cli.checks.postfixconf import (
    PostfixInstance,
    SocketUse,
    chroot_default,
    items,
    parse_services,
)

MASTER = """\
smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       -       -       -       smtpd -o syslog_name=postfix/sub
pickup     unix  n       -       y       60      1       pickup
25         inet  n       -       n       -       1       postscreen
smtpd      pass  -       -       n       -       -       smtpd
"""


@pytest.mark.parametrize(("default", "submission"), [(True, True), (False, False)])
def test_services_of_smtpd_are_found_with_their_chroot(default: bool, submission: bool) -> None:
    """The smtpd services, and whether each is chrooted; `-` means the default."""
    assert parse_services(MASTER, default) == {
        "smtp/inet": True,
        "submission/inet": submission,
        "smtpd/pass": False,
    }


@pytest.mark.parametrize(
    ("level", "chrooted"), [("0", True), ("", True), ("1", False), ("2", False), ("3.6", False)]
)
def test_the_default_of_chroot(level: str, chrooted: bool) -> None:
    """It became `n` with compatibility level 1."""
    assert chroot_default(level) is chrooted


@pytest.mark.parametrize(
    ("path", "chrooted", "place"),
    [
        ("/run/smmapd/policy", False, "/run/smmapd/policy"),
        ("/run/smmapd/policy", True, "/var/spool/postfix/run/smmapd/policy"),
        ("smmapd/policy", False, "/var/spool/postfix/smmapd/policy"),
        ("smmapd/policy", True, "/var/spool/postfix/smmapd/policy"),
    ],
)
def test_a_chroot_begins_at_the_queue(path: str, chrooted: bool, place: str) -> None:
    """In a chroot every path begins at the queue directory; a relative one always does."""
    use = SocketUse("smtp/inet", "smtpd_milters", "milter", chrooted, path)
    assert (
        PostfixInstance({"queue_directory": "/var/spool/postfix"}, (use,), {}, {}).place(use)
        == place
    )


def test_blanks_and_commas_divide_a_list() -> None:
    """Blanks and commas divide a list."""
    postfix = PostfixInstance({"relay_domains": "a.org, b.org\tc.org ,"}, (), {}, {})
    assert postfix.words("relay_domains") == ["a.org", "b.org", "c.org"]
    assert postfix.words("mydestination") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("a, b c", [("a",), ("b",), ("c",)]),
        ("{ unix:x, timeout=10s, default_action=DUNNO } b", [("unix:x", "timeout=10s", "default_action=DUNNO"), ("b",)]),
        ("check_policy_service { unix:x }", [("check_policy_service",), ("unix:x",)]),
        ("{ } {,} a", [("a",)]),
    ],
)  # fmt: skip
def test_a_group_in_braces_is_one_item(value: str, expected: list[tuple[str, ...]]) -> None:
    """Words divided by blanks and commas; a group in braces is one."""
    assert items(value) == expected
