"""Random installations: options of imapd.conf, in every combination that changes an answer.

`random_site(random)` draws one.  An option that lmtpd reads may be written
under its service's name, with another value under the plain one, which then
does not count for delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# The service that delivers, as Debian's cyrus.conf calls it.
SERVICE = "lmtpunix"
DEFAULT_DOMAIN = "example.com"
DOMAINS = (DEFAULT_DOMAIN, "virt.example", "sub.virt.example", "x-y.test", "nowhere.test")
# In none of which a mailbox is made.
EMPTY_DOMAIN = "nowhere.test"
PROXY = "proxy1"
ADMIN = "admin"

# Options with the values they may get; the first is Cyrus' own default and is not written.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "lmtp_downcase_rcpt": ("", "", "yes", "no"),
    "lmtp_over_quota_perm_failure": ("", "", "", "yes"),
    "lmtp_strict_quota": ("", "", "yes"),
    "lmtp_fuzzy_mailbox_match": ("", "", "yes"),
    "lmtp_strict_rfc2821": ("", "", "", "no"),
    "postuser": ("", "", "", "bb", "BB", "fred", "post.master"),
    "lmtp_catchall_mailbox": (
        "", "", "", "", "carol", "Carol", "nobodyhere", "full", "carol@virt.example",
        "newbie@example.com", "bob@example.com",
    ),
    "autocreate_post": ("", "", "yes"),
    "autocreate_quota": ("", "0", "0", "1000", "1", "-1"),
    "autocreate_users": ("", "", "", "newbie newbie2 NewBie3", "fred"),
    "autocreate_inbox_folders": ("", "", "", "Junk|Sent"),
    "autocreate_quota_messages": ("", "", "", "0", "1"),
    "notesmailbox": ("", "", "", "info", "Lists"),
    "calendarprefix": ("", "", "", "lists", "Public"),
    "sharedprefix": ("", "", "", "Public", "shared"),
    "userprefix": ("", "", "", "users", "user2"),
}  # fmt: skip
# What every service reads alike: the store would be another one for imapd otherwise.
_COMMON: dict[str, tuple[str, ...]] = {
    "altnamespace": ("", "yes", "no"),
    "improved_mboxlist_sort": ("", "", "yes"),
    "delete_mode": ("immediate", "immediate", "delayed"),
    "hashimapspool": ("", "", "yes"),
    "fulldirhash": ("", "", "", "yes"),
    "reject8bit": ("", "", "", "yes"),
    "username_tolower": ("", "", "", "no"),
    "deletedprefix": ("", "", "", "Trashed"),
    "mboxlist_db": ("twoskip", "twoskip", "twoskip", "skiplist", "flat"),
    "quota_db": ("quotalegacy", "quotalegacy", "quotalegacy", "twoskip", "skiplist", "flat"),
    "proxyservers": ("", PROXY),
    "userdeny_db": ("", "", "skiplist", "twoskip"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """One installation: `settings` are the lines of imapd.conf that the rig's do not have."""

    settings: dict[str, str]

    def plain(self, option: str, default: str = "") -> str:
        """An option's value for who has no service name."""
        return self.settings.get(option, default)

    def delivery(self, option: str, default: str = "") -> str:
        """An option's value for lmtpd."""
        return self.settings.get(f"{SERVICE}_{option}", self.plain(option, default))

    @property
    def separator(self) -> str:
        """What stands between the parts of a mailbox name."""
        return "/" if self.plain("unixhierarchysep") == "yes" else "."

    @property
    def domains(self) -> tuple[str | None, ...]:
        """The domains in which mailboxes can be; None is the default one, or none at all."""
        if self.plain("virtdomains") == "off":
            return (None,)
        return (None, *(each for each in DOMAINS[1:] if each != EMPTY_DOMAIN))

    def __str__(self) -> str:
        return ", ".join(f"{option}: {value}" for option, value in self.settings.items())


def random_site(random: Random) -> Site:
    """An installation; the same random numbers give the same one."""
    settings = {
        "virtdomains": random.choice(("off", "userid", "userid", "on")),
        "unixhierarchysep": random.choice(("yes", "yes", "yes", "no")),
        "admins": f"{ADMIN} root",
    }
    default = random.choice((DEFAULT_DOMAIN,) * 5 + ("", "", "Example.COM"))
    if default:
        settings["defaultdomain"] = default
    for option, values in _COMMON.items():
        value = random.choice(values)
        if value:
            settings[option] = value
    for option, values in _OPTIONS.items():
        value = random.choice(values)
        if value and random.random() < 0.2:
            settings[f"{SERVICE}_{option}"] = value
            value = random.choice(values)
        if value:
            settings[option] = value
    return Site(settings)
