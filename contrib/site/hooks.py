"""What MkDocs is told beside mkdocs.yml: pages that are made, and links that leave docs/.

The files of docs/ are read on a forge and on a disk, too, so their links go to
files of the repository (`../contrib/postfix/policy.cf`).  Here each such file
comes into the site: manual pages are rendered, the other documents of the
project become pages, and everything else is a file of text.  A link to what is
not there fails the build (`strict`).
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator

from manual import markdown as manual_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Documents of the project that the site has as pages.
_DOCUMENTS = {
    "README.md": "project/readme.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "RELEASING.md": "project/releasing.md",
    "contrib/README.md": "project/contrib.md",
    "tests/bench/README.md": "project/bench.md",
    "tests/RELIABILITY.md": "project/reliability.md",
}
_SOURCES = {page: path for path, page in _DOCUMENTS.items()}
# Folders that a link may name, and the page that lists what is in them.
_FOLDERS = re.compile(r"contrib(/\w+)?")


def _root(config: MkDocsConfig) -> str:
    return os.path.dirname(config.config_file_path)


def _place(path: str) -> str:
    """Where a file of the repository is in the site, as a path of a source."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("man/"):
        return f"manual/{posixpath.basename(path)}.md"
    if _FOLDERS.fullmatch(path):
        return _DOCUMENTS["contrib/README.md"]
    return _DOCUMENTS.get(path, f"files/{path}.txt")


def _origin(page: str) -> str:
    """The file of the repository that a page of the site is made of."""
    return _SOURCES.get(page, f"docs/{page}")


def _targets(config: MkDocsConfig, origin: str) -> dict[str, str]:
    """Links of a document by their text, and the files of the repository that they name."""
    with open(os.path.join(_root(config), origin), encoding="utf-8") as file:
        text = _FENCE.sub("", file.read())
    folder = posixpath.dirname(origin)
    return {link: posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(text)}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a last part to the navigation: the project's documents, and pages it does not name."""
    root = _root(config)
    documents = [
        page for path, page in _DOCUMENTS.items() if os.path.exists(os.path.join(root, path))
    ]
    decisions = os.path.join(config.docs_dir, "adr")
    pages = [name for name in sorted(os.listdir(config.docs_dir)) if name.endswith(".md")]
    assert config.nav is not None
    named = set(_named(config.nav))
    others: list[object] = [name for name in pages if name not in named]
    if os.path.isdir(decisions):
        inside = sorted(name for name in os.listdir(decisions) if name.endswith(".md"))
        others.append({"Decisions": [f"adr/{name}" for name in inside]})
    config.nav.append({"Project": [*others, *documents]})
    return config


def _named(nav: object) -> Iterator[str]:
    """The pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list | tuple):
        for each in nav:
            yield from _named(each)
    elif isinstance(nav, dict):
        for each in nav.values():
            yield from _named(each)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in manual pages, documents, and every file that a page links to."""
    root = _root(config)
    manuals = frozenset(os.listdir(os.path.join(root, "man")))
    for name in sorted(manuals):
        with open(os.path.join(root, "man", name), encoding="utf-8") as file:
            text = manual_page(file.read(), manuals)
        files.append(File.generated(config, f"manual/{name}.md", content=text))
    for path, page in _DOCUMENTS.items():
        if os.path.exists(os.path.join(root, path)):
            with open(os.path.join(root, path), encoding="utf-8") as file:
                files.append(File.generated(config, page, content=file.read()))
    origins = [_origin(each.src_uri) for each in files.documentation_pages()]
    for origin in (each for each in origins if os.path.exists(os.path.join(root, each))):
        for path in _targets(config, origin).values():
            place = _place(path)
            absent = files.get_file_from_path(place) is None
            if absent and place.startswith("files/") and os.path.isfile(os.path.join(root, path)):
                with open(os.path.join(root, path), "rb") as content:
                    data = content.read()
                files.append(File.generated(config, place, content=data))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links within the site."""
    origin = _origin(page.file.src_uri)
    if not os.path.exists(os.path.join(_root(config), origin)):
        return markdown
    targets = _targets(config, origin)
    here = posixpath.dirname(page.file.src_uri)

    def link(found: re.Match[str]) -> str:
        path = targets.get(found[1])
        return found[1] if path is None else posixpath.relpath(_place(path), here or ".")

    return _LINK.sub(link, markdown)
