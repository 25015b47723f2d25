"""What Postfix says of itself: `postconf`, asked and taken apart, for check-config.

Source: postconf(1), master(5), socketmap_table(5), proxymap(8), SMTPD_POLICY_README,
MILTER_README.  Values are expanded by postconf itself, those that a service overrides with -o too.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.mta import postconf
from gateway.mta.postconf import pairs

PARAMETERS = (
    "queue_directory",
    "mail_owner",
    "compatibility_level",
    "config_directory",
    "default_transport",
    "lmtp_quote_rfc821_envelope",
    "local_transport",
    "mailbox_transport",
    "milter_default_action",
    "mydestination",
    "non_smtpd_milters",
    "recipient_delimiter",
    "relay_domains",
    "relay_transport",
    "smtpd_milters",
    "smtpd_recipient_restrictions",
    "smtpd_reject_unlisted_sender",
    "smtpd_relay_restrictions",
    "smtpd_sender_restrictions",
    "virtual_mailbox_domains",
    "virtual_alias_domains",
    "virtual_transport",
    "alias_maps",
    "canonical_maps",
    "recipient_canonical_maps",
    "relocated_maps",
    "virtual_alias_maps",
)

_MILTERS = ("smtpd_milters", "non_smtpd_milters")
_POLICY = "check_policy_service"
_UNIX, _INET = "unix:", "inet:"


@dataclass(frozen=True, slots=True)
class SocketUse:
    """A socket that a service of Postfix asks, as its value names it.

    `protocol` is the front end that is spoken to; `path` a Unix socket's path, or
    empty where `inet` is HOST:PORT.  `proxied`: proxymap asks, outside
    of any chroot.  `options` are those in braces behind a policy service or milter.
    """

    service: str
    parameter: str
    protocol: str
    chrooted: bool
    path: str = ""
    inet: str = ""
    proxied: bool = False
    options: tuple[tuple[str, str], ...] = ()

    @property
    def written(self) -> str:
        """The socket as the value has it."""
        return f"{_UNIX}{self.path}" if self.path else f"{_INET}{self.inet}"


@dataclass(frozen=True, slots=True)
class PostfixInstance:
    """One Postfix instance: expanded parameters, and which smtpd asks which socket.

    `services` are the smtpd services of master.cf, `NAME/TYPE`, and whether each
    is chrooted; `own` has what a service sets for itself.  `table_types` are the
    types of tables that are installed; empty where Postfix does not tell.
    """

    parameters: Mapping[str, str]
    uses: tuple[SocketUse, ...]
    services: Mapping[str, bool]
    own: Mapping[str, Mapping[str, str]]
    table_types: frozenset[str] = frozenset()

    @property
    def queue_directory(self) -> str:
        """Where paths begin that do not begin with /, and the root of a chroot."""
        return self.parameters.get("queue_directory", "/var/spool/postfix")

    def words(self, parameter: str) -> list[str]:
        """A list of main.cf, taken apart at blanks and commas."""
        return postconf.split_list(self.parameters.get(parameter, ""))

    def of(self, service: str, parameter: str) -> str:
        """A parameter as `service` has it."""
        return self.own.get(service, {}).get(parameter, self.parameters.get(parameter, ""))

    def place(self, use: SocketUse) -> str:
        """Where in the file system the Unix socket is that `use` asks."""
        if (use.chrooted and not use.proxied) or not use.path.startswith("/"):
            return os.path.normpath(f"{self.queue_directory}/{use.path}")
        return os.path.normpath(use.path)


def ask(folder: str = "") -> PostfixInstance | None:
    """What the Postfix with its configuration in `folder` (empty: the default one) says.

    None where there is no Postfix.  Raises MailServerError.
    """
    if shutil.which("postconf") is None:
        return None
    main = pairs(postconf.ask(folder, "-x", *PARAMETERS))
    changed = pairs(postconf.ask(folder, "-nx"))
    services = parse_services(
        postconf.ask(folder, "-M"), chroot_default(main.get("compatibility_level", "0"))
    )
    overridden = pairs(postconf.ask(folder, "-Px"))
    types = frozenset(postconf.ask(folder, "-m").split())
    own = {
        service: {
            name.removeprefix(service + "/"): value
            for name, value in overridden.items()
            if name.startswith(service + "/")
        }
        for service in services
    }
    uses = tuple(_uses(services, {**main, **changed}, own))
    return PostfixInstance(main, uses, services, own, types)


def chroot_default(compatibility_level: str) -> bool:
    """What `-` means in master.cf's column chroot (COMPATIBILITY_README): yes before level 1."""
    return compatibility_level.split(".", maxsplit=1)[0].strip() in ("", "0")


def parse_services(table: str, default: bool) -> dict[str, bool]:
    """The smtpd services of master.cf as `NAME/TYPE`, and whether each is chrooted."""
    found = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 8 and os.path.basename(fields[7]) == "smtpd":
            chroot = fields[4]
            found[f"{fields[0]}/{fields[1]}"] = default if chroot == "-" else chroot == "y"
    return found


def items(value: str) -> list[tuple[str, ...]]:
    """The words of a list; a group in braces is one item, of its words between commas."""
    found: list[tuple[str, ...]] = []
    for group, word in re.findall(r"\{([^{}]*)\}|([^\s,{}]+)", value):
        if group:
            inner = tuple(part.strip() for part in group.split(",") if part.strip())
            found += [inner] if inner else []
        elif word:
            found.append((word,))
    return found


def _uses(
    services: Mapping[str, bool], main: Mapping[str, str], own: Mapping[str, Mapping[str, str]]
) -> Iterator[SocketUse]:
    for service, chrooted in services.items():
        for parameter, value in {**main, **own[service]}.items():
            for protocol, text, options in _named(parameter, items(value)):
                proxied = text.startswith("proxy:")
                plain = text.removeprefix("proxy:").removeprefix("socketmap:")
                path = plain.removeprefix(_UNIX) if plain.startswith(_UNIX) else ""
                inet = plain.removeprefix(_INET) if plain.startswith(_INET) else ""
                if path or inet:
                    yield SocketUse(
                        service, parameter, protocol, chrooted, path, inet, proxied, options
                    )


def _named(
    parameter: str, found: list[tuple[str, ...]]
) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """Protocol, socket and options of each socket in a parameter's items."""
    before = ""
    for first, *rest in found:
        if first.removeprefix("proxy:").startswith("socketmap:"):
            # socketmap:unix:PATH:NAME
            yield "socketmap", first.rpartition(":")[0], ()
        elif before == _POLICY:
            yield "policy", first, _options(rest)
        elif parameter in _MILTERS:
            yield "milter", first, _options(rest)
        before = first


def _options(listed: list[str]) -> tuple[tuple[str, str], ...]:
    found = (word.partition("=") for word in listed)
    return tuple((name.strip(), value.strip()) for name, _, value in found)
