"""What Postfix says of itself: `postconf`, asked once, and its answer taken apart.

Source: postconf(1), master(5), multi-instance support in postmulti(1): an
instance is its configuration folder; DATABASE_README and mystrtokq in
src/util/mystrtok.c for lists.  Values are expanded by postconf itself.
Limits: a parameter that a service overrides with -o is known only by `-P`
(`overridden`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import MailServerError
from gateway.mta import programs

if TYPE_CHECKING:
    from collections.abc import Mapping

# postconf reads two files; longer is a hang.  In seconds.
PATIENCE = 20.0

_BETWEEN = frozenset(" \t\r\n,")

# What is asked for; postconf tells of each that this version of Postfix knows.
PARAMETERS = (
    "alias_maps",
    "append_at_myorigin",
    "canonical_classes",
    "canonical_maps",
    "compatibility_level",
    "config_directory",
    "double_bounce_sender",
    "fallback_transport",
    "fallback_transport_maps",
    "local_recipient_maps",
    "local_transport",
    "luser_relay",
    "mail_owner",
    "mail_version",
    "mailbox_command",
    "mailbox_command_maps",
    "mailbox_transport",
    "mailbox_transport_maps",
    "mydestination",
    "myorigin",
    "owner_request_special",
    "parent_domain_matches_subdomains",
    "propagate_unmatched_extensions",
    "queue_directory",
    "recipient_canonical_classes",
    "recipient_canonical_maps",
    "recipient_delimiter",
    "relay_domains",
    "relay_transport",
    "relocated_maps",
    "transport_maps",
    "virtual_alias_domains",
    "virtual_alias_maps",
    "virtual_mailbox_domains",
    "virtual_transport",
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The expanded parameters of the Postfix whose configuration is in `folder`.

    `folder` is "" for the default one.  A parameter that Postfix does not
    know is empty.
    """

    folder: str
    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def words(self, name: str) -> list[str]:
        """A list, taken apart."""
        return split_list(self[name])

    def yes(self, name: str) -> bool:
        """Whether a parameter that is yes or no is yes."""
        return self[name].lower() == "yes"


def read(folder: str) -> Parameters:
    """The parameters of the instance in `folder`; raises MailServerError."""
    values = pairs(ask(folder, "-x", *PARAMETERS))
    if not values.get("mail_version"):
        # Every Postfix says that; this one said nonsense.
        raise MailServerError("postconf", f"says nothing about {folder or 'its configuration'}")
    return Parameters(folder, values)


def ask(folder: str, *options: str) -> str:
    """What `postconf -c FOLDER OPTIONS` prints; raises MailServerError with what it says."""
    where = ["-c", folder] if folder else []
    argv = [programs.find("postconf"), *where, *options]
    done = programs.run(argv, b"", time.monotonic() + PATIENCE)
    if done.code:
        raise MailServerError("postconf", f"{done.problem} (postconf {' '.join(argv[1:3])})")
    return done.out.decode("utf-8", "backslashreplace")


def pairs(text: str) -> dict[str, str]:
    """`name = value` lines."""
    found = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in found if equals}


def split_list(text: str) -> list[str]:
    """The words of a list, between blanks and commas.

    `{a, b}` is one word, also behind others as in `pipemap:{a, b}`.
    """
    found: list[str] = []
    word = ""
    depth = 0
    for char in text:
        if char in _BETWEEN and not depth:
            if word:
                found.append(word)
            word = ""
            continue
        depth += (char == "{") - (char == "}" and depth > 0)
        word += char
    if word:
        found.append(word)
    return found
