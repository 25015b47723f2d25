"""The files of contrib/ as their programs read them, as far as the tests need it."""

from __future__ import annotations

from pathlib import Path

CONTRIB = Path(__file__).parents[2] / "contrib"


def text(name: str) -> str:
    """One file of contrib/."""
    return (CONTRIB / name).read_text()


# The three ways to ask in contrib/postfix, by the setting that asks.
WAYS = {
    "relay_recipient_maps": "socketmap.cf",
    "smtpd_recipient_restrictions": "policy.cf",
    "smtpd_milters": "milter.cf",
}


def main_cf(name: str) -> dict[str, str]:
    """A file of contrib/postfix: settings by name; a line that begins with a blank continues one."""
    logical: list[str] = []
    for line in text(f"postfix/{name}").splitlines():
        if line[:1].isspace():
            logical[-1] += " " + line.strip()
        elif line and not line.startswith("#"):
            logical.append(line)
    pairs = (line.partition("=") for line in logical)
    return {name.strip(): value.strip() for name, _, value in pairs}


def rules(name: str) -> list[str]:
    """The R lines of a Sendmail file, behind its ruleset's name."""
    lines = text(f"sendmail/{name}").splitlines()
    return lines[lines.index("SLocal_check_rcpt") + 1 :]
