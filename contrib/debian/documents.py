"""Links of the package's documents: each leads to what the package has installed.

    python3 contrib/debian/documents.py PACKAGE

In the clone a document links to files beside it (`../man/smmapd.8`,
`../contrib/tls/ca.sh`).  The package has manual pages, examples and changelog
where Debian wants them, so debian/rules runs this when everything is in its
place below PACKAGE, the root of the package.  A link to what the package does
not bring (sources, tests) leaves its words behind.  A link to what it should
bring and does not have fails the build.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

DOCUMENTS = "usr/share/doc/smmapd-gateway"
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
# Files of the clone, the first that matches, and where the package has them.
_PLACES = (
    (r"man/(.+\.(\d))", r"usr/share/man/man\2/\1.gz"),
    (r"contrib/apparmor/(.+)", r"etc/apparmor.d/\1"),
    (r"contrib/(.+)", rf"{DOCUMENTS}/examples/\1"),
    (r"CHANGELOG\.md", rf"{DOCUMENTS}/changelog.gz"),
    (r"LICENSE", rf"{DOCUMENTS}/copyright"),
    (r"(README\.md|SECURITY\.md|docs/[\w.-]+)", rf"{DOCUMENTS}/\1"),
)


def place(path: str) -> str | None:
    """Where the package has a file of the clone, from its root; None: it is not in the package."""
    for pattern, target in _PLACES:
        found = re.fullmatch(pattern, path)
        if found is not None:
            return found.expand(target)
    return None


def origin(installed: str) -> str:
    """The file of the clone that a document of the package is."""
    name = installed.removeprefix(f"{DOCUMENTS}/")
    return re.sub(r"^examples/", "contrib/", name)


def rewritten(text: str, installed: str) -> tuple[str, list[str]]:
    """A document whose links lead to places of the package, and those places.

    `installed` is the document's own path from the package's root.
    """
    folder, source = posixpath.dirname(installed), posixpath.dirname(origin(installed))
    places: list[str] = []

    def link(found: re.Match[str]) -> str:
        words, path, anchor = found.groups(default="")
        target = place(posixpath.normpath(posixpath.join(source, path)))
        if target is None:
            return words
        places.append(target)
        kept = anchor if target.endswith(".md") else ""
        return f"[{words}]({posixpath.relpath(target, folder)}{kept})"

    parts = _FENCE.split(text)
    parts[::2] = [_LINK.sub(link, each) for each in parts[::2]]
    return "".join(parts), places


def main(package: Path) -> int:
    """Rewrite every document in its place; 1 where a link leads nowhere."""
    wrong = 0
    for document in sorted((package / DOCUMENTS).rglob("*.md")):
        installed = document.relative_to(package).as_posix()
        text, places = rewritten(document.read_text(encoding="utf-8"), installed)
        for each in places:
            if not (package / each).exists():
                print(f"documents.py: {installed} links to /{each}, which is not there")
                wrong = 1
        document.write_text(text, encoding="utf-8")
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
