"""The tables [replies.KIND]: what the SMTP client hears for each kind of verdict.

The kinds, their defaults, when each is given and the rules for a sound reply are those of
`gateway.frontends.replies`; this declares them as settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gateway.config.choices import SizeCheck
from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.types import integer, sentence, toml_string
from gateway.frontends import replies
from gateway.frontends.replies import REFUSALS, Template
from gateway.verification.kinds import Kind

# What the name of each table begins with.
PREFIX = "replies."

# What a mail that is larger than the free quota gets where size_check is permanent.
PERMANENT_SIZE = replace(replies.DEFAULTS[Kind.SIZE_OVER_QUOTA], code=552, enhanced="5.2.2")

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in REFUSALS})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySettings:
    """One table; an empty `utf8_text` is none."""

    code: int = setting(
        integer(400, 599),
        default=550,
        description="The SMTP reply code. Not 421 and 521, which end the session.",
        example="550",
    )
    enhanced: str = setting(
        sentence("an enhanced status code"),
        default="5.1.1",
        description="The enhanced status code (RFC 3463), of the same class as `code`.",
        example='"5.1.1"',
    )
    text: str = setting(
        sentence("the text of the reply"),
        default="User unknown",
        description="The text, in ASCII. {recipient} stands for the recipient, {reason} for the "
        "reason that the store gives; both are made printable and cut.",
        example='"No mailbox here by that name"',
    )
    utf8_text: str = setting(
        sentence("the text of the reply", empty="empty: as text"),
        default="",
        description="The text for clients that use SMTPUTF8; it need not be ASCII.",
        example='"Kein Postfach für {recipient}"',
    )

    def template(self) -> Template:
        """The same for the front ends' table of replies."""
        return Template(self.code, self.enhanced, self.text, self.utf8_text or None)


def sections(size_check: SizeCheck) -> Mapping[str, Section[ReplySettings]]:
    """The sections by kind; the default for sizes depends on how they are checked."""
    defaults = dict(replies.DEFAULTS)
    if size_check is SizeCheck.PERMANENT:
        defaults[Kind.SIZE_OVER_QUOTA] = PERMANENT_SIZE
    for name, kind in KINDS.items():
        # For a contributor who adds a kind; tests/exercises name the other places.
        if kind not in defaults or kind not in replies.WHEN:
            raise LookupError(
                f"{name} has no row with a sentence in ROWS of "
                "gateway/frontends/socketmap_replies.py"
            )
    return MappingProxyType({name: _section(name, defaults[kind]) for name, kind in KINDS.items()})


def problems(name: str, template: Template, size_check: SizeCheck) -> Iterator[tuple[str, str]]:
    """What is wrong with a reply as a whole: pairs of dotted key and reason with fix."""
    for error in replies.problems(KINDS[name], template):
        yield error.option or PREFIX + name, error.problem
    wanted = {SizeCheck.TEMPORARY: 4, SizeCheck.PERMANENT: 5}.get(size_check)
    if KINDS[name] is Kind.SIZE_OVER_QUOTA and wanted and template.code // 100 != wanted:
        yield (
            f"{PREFIX}{name}.code",
            f'{template.code} contradicts size_check = "{size_check.value}"; '
            f"choose a code from {wanted}00 to {wanted}59, or change size_check",
        )


def must_be_temporary(name: str) -> bool:
    """Whether the kind can only be a fault of the server, so that its code is 4xx."""
    return not KINDS[name].permanent_reply_allowed


def _section(name: str, default: Template) -> Section[ReplySettings]:
    values: dict[str, tuple[object, str]] = {
        "code": (default.code, str(default.code)),
        "enhanced": (default.enhanced, toml_string(default.enhanced)),
        "text": (default.text, toml_string(default.text)),
        "utf8_text": ("", toml_string("")),
    }
    declarations = {
        key: declaration.with_default(*values[key])
        for key, declaration in declarations_of(ReplySettings).items()
    }
    return Section(
        name=PREFIX + name,
        title="",
        description=replies.WHEN[KINDS[name]],
        build=ReplySettings,
        declarations=MappingProxyType(declarations),
    )


SECTIONS = sections(SizeCheck.OFF)
