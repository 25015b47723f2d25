"""Manual pages as pages of the site: roff with the macros of man(7) in, Markdown out.

Promises: headings become Markdown headings, so that the site's contents and
links have them; everything else becomes HTML that Markdown leaves alone.  A
macro or an escape that is not known here is an error, not a hole in the page.

Limits: the macros that the pages in man/ use; no tables, no conditions.
"""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterator

# man(7): letters of the macros that set their words in alternating.
_FONTS = {"B": "strong", "I": "em", "R": ""}
_ALTERNATING = re.compile(r"\.([BIR])([BIR])")
# groff_char(7), as far as the pages use it.
_CHARACTERS = {
    "(dq": '"',
    "(aq": "'",
    "(bu": "\u2022",
    "(lq": "\u201c",
    "(rq": "\u201d",
    "(ti": "~",
    "(ha": "^",
    "-": "-",
    "e": "\\",
    "&": "",
    " ": "\u00a0",
    "~": "\u00a0",
    "%": "",
}
_ESCAPE = re.compile(r"\\(f[BIRP]|\(..|.)")
_COMMENT = '.\\"'
_REFERENCE = re.compile(r"<strong>([\w.-]+)</strong>\((\d)\)")


class UnknownMarkup(ValueError):
    """A macro or an escape that this program does not know; the message names it."""


def _inline(text: str) -> str:
    """A line's text with its escapes, as HTML."""
    out: list[str] = []
    open_tag = ""
    position = 0
    for found in _ESCAPE.finditer(text):
        out.append(html.escape(text[position : found.start()], quote=False))
        position = found.end()
        escape = found[1]
        if escape[0] == "f" and len(escape) == 2:
            out.append(f"</{open_tag}>" if open_tag else "")
            open_tag = _FONTS["R" if escape[1] == "P" else escape[1]]
            out.append(f"<{open_tag}>" if open_tag else "")
        elif escape in _CHARACTERS:
            out.append(html.escape(_CHARACTERS[escape], quote=False))
        else:
            raise UnknownMarkup(f"the escape \\{escape} in {text!r}")
    out.append(html.escape(text[position:], quote=False))
    out.append(f"</{open_tag}>" if open_tag else "")
    return "".join(out)


def _words(text: str) -> list[str]:
    """A macro's arguments; quotes hold blanks together."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.quotes, lexer.escape, lexer.commenters = '"', "", ""
    return list(lexer)


def _styled(line: str) -> str:
    """A line of text, or a font macro with its words, as HTML."""
    if not line.startswith("."):
        return _inline(line)
    macro, _, rest = line.partition(" ")
    alternating = _ALTERNATING.fullmatch(macro)
    if alternating is not None:
        parts = enumerate(_words(rest))
        return "".join(_wrapped(_inline(word), alternating[1 + at % 2]) for at, word in parts)
    if macro in (".B", ".I"):
        return _wrapped(_inline(" ".join(_words(rest))), macro[1])
    raise UnknownMarkup(f"the macro {line!r}")


def _wrapped(text: str, font: str) -> str:
    tag = _FONTS[font]
    return f"<{tag}>{text}</{tag}>" if tag else text


class _Page:
    """The page as it grows: which lists and which paragraph are open."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._list = ""
        self._text: list[str] = []
        self._inner: list[str] = []

    def text(self, piece: str) -> None:
        """A piece of the paragraph that is open."""
        self._text.append(piece)

    def paragraph(self) -> None:
        """The end of the paragraph."""
        words = "\n".join(self._text).strip()
        self._text.clear()
        if words:
            self._add(f"<p>{words}</p>")

    def verbatim(self, lines: list[str]) -> None:
        """Lines as they stand."""
        self.paragraph()
        self._add("<pre><code>" + "\n".join(lines) + "\n</code></pre>")

    def item(self, kind: str, head: str) -> None:
        """An item of a list: `dl` with a term before it, or `ul`."""
        self.paragraph()
        if self._list != kind:
            self.end()
            self._list = kind
        else:
            self._close_item()
        if kind == "dl":
            self._inner.append(f"<dt>{head}</dt>\n<dd>")
        else:
            self._inner.append("<li>")

    def term(self, head: str) -> None:
        """One more term of the item that was just begun."""
        last = self._inner.pop()
        self._inner.append(last.replace("\n<dd>", f"\n<dt>{head}</dt>\n<dd>"))

    def end(self) -> None:
        """The end of the list, if there is one."""
        self.paragraph()
        if self._list:
            self._close_item()
            self.blocks.append(f"<{self._list}>\n" + "\n".join(self._inner) + f"\n</{self._list}>")
            self._inner.clear()
            self._list = ""

    def heading(self, level: str, text: str) -> None:
        """A heading, which ends everything else."""
        self.end()
        self.blocks.append(f"{level} {text}")

    def _close_item(self) -> None:
        self._inner.append("</dd>" if self._list == "dl" else "</li>")

    def _add(self, block: str) -> None:
        (self._inner if self._list else self.blocks).append(block)


def _until(lines: Iterator[str], end: str) -> list[str]:
    found = []
    for line in lines:
        if line == end:
            break
        found.append(_styled(line))
    return found


def markdown(roff: str, pages: frozenset[str]) -> str:
    """The page as Markdown; names like `smmapd.8` in `pages` are linked to.

    Raises UnknownMarkup.
    """
    page = _Page()
    lines = iter(roff.splitlines())
    for line in lines:
        macro, _, rest = line.partition(" ")
        if not line or line.startswith(_COMMENT):
            continue
        if macro == ".TH":
            name, number = _words(rest)[:2]
            page.heading("#", f"{name.lower()}({number})")
        elif macro in (".SH", ".SS"):
            title = html.unescape(_inline(" ".join(_words(rest))))
            page.heading("##" if macro == ".SH" else "###", title)
        elif macro == ".PP":
            page.end()
        elif macro == ".TP":
            page.item("dl", _styled(next(lines)))
        elif macro == ".TQ":
            page.term(_styled(next(lines)))
        elif macro == ".IP":
            page.item("ul", "")
        elif macro == ".br":
            page.text("<br>")
        elif macro in (".EX", ".nf"):
            page.verbatim(_until(lines, ".EE" if macro == ".EX" else ".fi"))
        else:
            page.text(_styled(line))
    page.end()
    return _linked("\n\n".join(page.blocks) + "\n", pages)


def _linked(text: str, pages: frozenset[str]) -> str:
    def link(found: re.Match[str]) -> str:
        name = f"{found[1]}.{found[2]}"
        return f'<a href="{name}.html">{found[0]}</a>' if name in pages else found[0]

    return _REFERENCE.sub(link, text)
