"""The glossary's words: each stands where it says, and what they replaced is gone.

A word of our own that means nothing in the field is easily brought back by a
merge or by habit.  `REPLACED` are words that no name may have among its parts
any more, with the word that is in their place: names of modules, classes,
functions, arguments, attributes and variables, in the program and in its tests.
`SENTENCES` are left out: names of tests are English.

Words that stay, because they mean in our names what they mean in English or in
the field: `again` and `late` (`_accept_again`, a moment), `kept` and `ready` (a
file that is kept, a process that is ready), `line` and `part` (of a text), `now`
(a moment), `place` and `word` (in a text or a file), `prepare` (a judge prepares
and concludes), `absent` (no record has the key), `told` and `heard`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.sources import SOURCES, tree

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE
)
MODULES = SOURCES + sorted(
    str(path.relative_to(ROOT))
    for folder in ("tests", "contrib")
    for path in (ROOT / folder).rglob("*.py")
)

REPLACED = {
    "amid": "in_request",
    "appeal": "last check",
    "board": "shared metrics",
    "cell": "outcome counter",
    "course": "answer origin",
    "crew": "helper threads",
    "detours": "path_changes",
    "door": "interface, front end",
    "doors": "interfaces, front ends",
    "elsewhere": "murder, remote store, other transport",
    "epoch": "store version",
    "epochs": "store version",
    "eyes": "asuser",
    "fate": "routing",
    "flight": "shared question, shared look-up",
    "flights": "dispatcher",
    "fronts": "front ends",
    "house": "site",
    "keeper": "service manager",
    "keyform": "key format",
    "lane": "max concurrency, queue",
    "lanes": "concurrency_of, queues",
    "ledger": "process registry",
    "leniency": "waiver",
    "life": "managed gateway, lifecycle",
    "news": "change, change_count, messages",
    "players": "conversations",
    "quick": "cached_reply",
    "silent": "never_spoke, no_reply_steps",
    "standing": "gateway status, checked",
    "stands": "is_valid",
    "strangers": "unknown",
    "strikes": "kills",
    "tally": "outcome counters",
    "tells": "covered_by, conclusive",
    "turn": "tick, batch, callback",
    "turns": "ticks, loop hooks",
    "waypath": "path walk",
}
# Where such a word is the field's own, and why.
ALLOWED = {
    "cell": {"gateway/cli/output.py", "tests/bench", "tests/demo", "tests/documents"},  # a table's
    "news": {"smmapd/syslog.py", "tests/cli", "tests/verification"},  # syslog's facility; folders
    "quick": {"tests/bench"},  # make bench-quick
    "silent": {"tests/"},  # a peer or a system that is asked and does not answer
}
SENTENCES = ("test_",)


@cache
def names(path: str) -> frozenset[str]:
    """Every name that a module gives or uses, but for those of its tests."""
    found = {Path(path).stem.removeprefix("test_")}
    for node in ast.walk(_tree(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Attribute(attr=name) | ast.arg(arg=name) | ast.Name(id=name):
                found.add(name)
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                found.add(name)
            case _:
                pass
    return frozenset(each for each in found if not each.startswith(SENTENCES))


def _tree(path: str) -> ast.Module:
    return tree(path) if path in SOURCES else ast.parse((ROOT / path).read_text(encoding="utf-8"))


def parts(name: str) -> set[str]:
    """The words of a name: of `FairQueue`, `_fair_queue` and `FAIR_QUEUE` fair and queue."""
    words = (re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", piece) for piece in name.split("_"))
    return {word.lower() for piece in words for word in piece}


@pytest.mark.parametrize("path", MODULES)
def test_what_was_replaced_is_gone(path: str) -> None:
    """The message names the word that is in its place."""
    found = {
        f"{name}: {REPLACED[word]}"
        for name in names(path)
        for word in parts(name) & set(REPLACED)
        if not any(path.startswith(where) for where in ALLOWED.get(word, ()))
    }
    assert not found


def test_folders_have_the_words_too() -> None:
    """Of the program and of its tests."""
    folders = {part for path in MODULES for part in Path(path).parts[:-1]}
    assert not folders & set(REPLACED)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_fair_queue", {"fair", "queue"}),
        ("FairQueue", {"fair", "queue"}),
        ("MAX_ENTRIES", {"max", "entries"}),
        ("TLSLine2", {"tls", "line"}),
    ],
)
def test_the_words_of_a_name(name: str, expected: set[str]) -> None:
    """However it is written."""
    assert parts(name) == expected


@pytest.mark.parametrize(("term", "path"), ROWS, ids=[term for term, _ in ROWS])
def test_the_glossary_says_where(term: str, path: str) -> None:
    """Each term's module or folder is there."""
    assert (ROOT / path).exists(), f"{term} is not in {path} any more"


def test_the_glossary_has_rows() -> None:
    """In the form that these tests read."""
    assert len(ROWS) > 30


def test_no_public_class_has_a_namesake() -> None:
    """Two classes of one name are taken for one another."""
    classes = Counter(
        node.name
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_no_name_of_a_module_is_there_three_times() -> None:
    """A name that three rooms have says too little; each format of a database has its `format.py`."""
    names = Counter(Path(path).stem for path in SOURCES if not path.endswith("__init__.py"))
    often = {name for name, count in names.items() if count > 2}
    assert often == {"format"}
    formats = {path for path in SOURCES if path.endswith("/format.py")}
    assert all(path.startswith("gateway/cyrus/db/") for path in formats), formats
