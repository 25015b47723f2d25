"""The reference made from the declarations: gateway.toml(5) and the commented example.

`make reference` writes man/gateway.toml.5 (`python -m gateway.config.reference FILE`); a test fails
where it differs from what this gives.  The example is printed by `smmapd-gateway print-config
example`, and is in no file of the source.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from gateway.config import referencetext as prose
from gateway.config.declaration import Declaration, Section
from gateway.config.model import SECTIONS
from gateway.config.tables.replies import PREFIX, must_be_temporary
from gateway.config.tables.replies import SECTIONS as REPLIES

_WIDTH = 79
_MARKUP = re.compile(r"`([^`]*)`")


def man_page() -> str:
    """man/gateway.toml.5, in the macros of man(7)."""
    lines = [*prose.MAN_HEAD]
    replies_done = False
    for section in SECTIONS:
        if section.name.startswith(PREFIX):
            if not replies_done:
                lines += _man_replies(section)
            replies_done = True
            continue
        title = section.title if not section.name else f"{section.title}: [{section.name}]"
        lines += [f".SS {_roff(title)}"]
        lines += [_roff(section.description)] if section.description else []
        for key, declaration in section.declarations.items():
            lines += _man_setting(key, declaration)
    return "\n".join([*lines, *prose.MAN_ANSWERS, *prose.MAN_TAIL]) + "\n"


def example() -> str:
    """A gateway.toml with every setting with its default, commented out but for a few."""
    lines = [*prose.EXAMPLE_HEAD]
    for section in SECTIONS:
        lines += ["", *_comment(_heading(section))]
        # Always a live header: a key that is uncommented must not fall into the table above.
        lines += [f"[{section.name}]"] if section.name else []
        reply = section.name.startswith(PREFIX)
        for key, declaration in section.declarations.items():
            if not reply:
                lines += ["", *_comment(_about(declaration))]
            shown = _default(declaration)
            if declaration.sample:
                lines.append(f"{key} = {declaration.example}")
            else:
                lines.append(f"#{key} = {shown}")
    return "\n".join(lines) + "\n"


def _heading(section: Section[object]) -> str:
    parts = (f"{section.title}." if section.title else "", section.description)
    return " ".join(part for part in parts if part).replace("`", "")


def _about(declaration: Declaration) -> str:
    """Description, type, units and example as one paragraph of plain text."""
    text = declaration.description.replace("`", "")
    kind = declaration.type_name[:1].upper() + declaration.type_name[1:]
    text += f" {kind}."
    if declaration.inherits is not None:
        text += f" Default: that of {declaration.inherits} at the top."
    shown = _default(declaration)
    if declaration.example != shown and not declaration.sample:
        text += f" Example: {declaration.example}"
    return text


def _default(declaration: Declaration) -> str:
    """The TOML text of the default; of an inherited one, the default of its origin."""
    if declaration.default is not None:
        return declaration.default
    assert declaration.inherits is not None
    origin = SECTIONS[0].declarations[declaration.inherits].default
    assert origin is not None
    return origin


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _man_setting(key: str, declaration: Declaration) -> Iterator[str]:
    default = _default(declaration)
    yield ".TP"
    yield f"\\fB{_escape(key)}\\fR = \\fI{_escape(declaration.type_name)}\\fR"
    yield _roff(declaration.description)
    yield ".br"
    if declaration.inherits is not None:
        yield _roff(f"Default: the value of `{declaration.inherits}` at the top of the file.")
    else:
        yield _roff(f"Default: `{default}`.")
    if declaration.units:
        yield _roff(f"Unit: {declaration.units}.")
    if declaration.example != default:
        yield _roff(f"Example: `{key} = {declaration.example}`.")
    yield _roff(f"Since {declaration.since}.")


def _man_replies(section: Section[object]) -> Iterator[str]:
    """One description of the three keys, then the table of kinds with their defaults."""
    yield f".SS {_roff(prose.REPLIES_TITLE)}"
    yield _roff(prose.REPLIES_DESCRIPTION)
    for key, declaration in section.declarations.items():
        yield ".TP"
        yield f"\\fB{_escape(key)}\\fR = \\fI{_escape(declaration.type_name)}\\fR"
        yield _roff(declaration.description)
    yield ".PP"
    yield "The kinds and their default replies:"
    for kind, about in REPLIES.items():
        values = about.declarations
        reply = " ".join(str(values[key].default_value) for key in ("code", "enhanced", "text"))
        yield ".TP"
        yield f"\\fB[{_escape(about.name)}]\\fR"
        yield _roff(about.description)
        yield ".br"
        yield _roff(f"Default: `{reply}`")
        if must_be_temporary(kind):
            yield _roff("The code must be of class 4.")


def _escape(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")


def _roff(text: str) -> str:
    """`text` for man(7), with what is between backticks in bold."""
    parts = []
    for index, part in enumerate(_MARKUP.split(text)):
        escaped = part.replace("\\", "\\e").replace('"', "\\(dq")
        # Typed text keeps its ASCII minus and apostrophe; prose keeps its hyphens.
        parts.append(f"\\fB{_escape(part)}\\fR" if index % 2 else escaped)
    line = "".join(parts)
    return f"\\&{line}" if line.startswith((".", "'")) else line


def main(arguments: list[str]) -> int:
    """Write the manual page to a file; exit code 64 (EX_USAGE) for anything else."""
    if len(arguments) != 1:
        sys.stderr.write("usage: reference FILE\n")
        return 64
    Path(arguments[0]).write_text(man_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
