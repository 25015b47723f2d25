"""`make docs`: one site of all documents, strict, and with nothing of other hosts."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.rigs.browser import Browser
from tests.rigs.folders import folder
from tests.rigs.ports import LOOPBACK
from tests.rigs.require import require
from tests.sources import ROOT
from tests.support.blocks import DOCUMENTS

# Attributes by which a browser fetches something by itself; a link (a) is followed by a person.
_FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
_OUTSIDE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
# What a browser makes up by itself.
_OWN = ("data:", "blob:", "chrome:", "chrome-")
_NAVIGATION = frozenset({"canonical", "next", "prev", "alternate"})


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """The site, built as `make docs` builds it, in a folder of its own."""
    with folder("site") as path:
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", path],
            cwd=ROOT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield Path(path)


class _Fetches(HTMLParser):
    """What a browser fetches for a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") in _NAVIGATION:
            return
        self.found += [given[name] or "" for name in _FETCHED.get(tag, ()) if name in given]
        self.found += _addresses(given.get("style") or "")

    def handle_data(self, data: str) -> None:
        self.found += _addresses(data)


def _addresses(css: str) -> list[str]:
    """What a style fetches."""
    return re.findall(r"""(?:url\(|@import )\s*["']?([^"')]+)""", css)


def test_no_page_fetches_anything_of_another_host(site: Path) -> None:
    """Scripts, styles, fonts, images."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(DOCUMENTS)
    fetched = {each for page in pages for each in _Fetches(page.read_text()).found}
    assert any(each.endswith(".js") for each in fetched)
    assert [each for each in fetched if _OUTSIDE.match(each)] == []


def test_no_style_fetches_anything_of_another_host(site: Path) -> None:
    """Fonts, and images of styles."""
    styles = sorted(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert [each for each in _addresses(style.read_text()) if _OUTSIDE.match(each)] == []


def test_what_a_page_fetches_is_there(site: Path) -> None:
    """The site stands for itself, on a disk too."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # for a web server, which has it at any path
            continue
        for each in _Fetches(page.read_text()).found:
            name = each.partition("#")[0].partition("?")[0]
            if name and not name.startswith("data:"):
                assert (page.parent / name).exists(), f"{page}: {each}"


@pytest.mark.real
def test_a_browser_asks_no_other_host(site: Path) -> None:
    """Whatever the pages' scripts do; the search finds what is in a page."""
    require("chromium")
    with _served(site) as address, Browser() as browser:
        for page in ("index", "verdicts", "manual/smmapd.8"):
            browser.open(f"{address}/{page}.html")
            browser.wait_script("return document.readyState === 'complete'", "the page is there")
        browser.open(f"{address}/index.html?q=size_check")
        browser.wait_script(
            "return document.querySelectorAll('.md-search-result__item').length > 0",
            "the search finds something",
        )
        asked = [each for each in browser.requests() if not each.startswith(_OWN)]
        assert asked
        assert [each for each in asked if not each.startswith(f"{address}/")] == []


@contextmanager
def _served(site: Path) -> Iterator[str]:
    """The site on loopback."""
    handler = partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Nothing is written."""


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "man").iterdir()))
def test_a_manual_page_is_rendered_whole(site: Path, name: str) -> None:
    """Every word of groff's rendering stands in ours, in that order, but for the head and foot."""
    page = (site / "manual" / f"{name}.html").read_text()
    article = page[page.index("<article") : page.index("</article>")]
    ours = html.unescape(re.sub(r"<[^>]*>", "", article.replace("<br>", " "))).replace("\u00b6", "")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rHY=0", "-rLL=2000n", str(ROOT / "man" / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    _head, *words = _words(done.stdout)
    body = words[words.index("NAME") : -5]
    squeezed = "".join(_words(ours))
    position = 0
    for word in body:
        position = squeezed.find(word, position)
        assert position >= 0, word
        position += len(word)


def _words(text: str) -> list[str]:
    """Words, with quotes and hyphens as they are typed."""
    plain = text.translate(str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2212", "''\"\"--"))
    return [word for word in plain.split() if word not in ("\u2022", "\u00b7")]


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each != "README.md"])
def test_a_page_begins_with_its_title(document: str) -> None:
    """A file of docs/ reads from top to bottom by itself."""
    assert re.match(r"# \S", (ROOT / document).read_text())
