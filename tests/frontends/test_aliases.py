"""Alias files: which recipients they cover."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.frontends import aliases, plaintext, watched
from gateway.frontends.aliases import Aliases, parse
from gateway.protocols.address import Address, parse_bare
from tests.rigs.processes import complete
from tests.rigs.require import require


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written just now is whole."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)


ALIASES = b"""\
# aliases(5)
postmaster: root
MAILER-DAEMON: postmaster
root:  alice,
\tbob,
# a comment between a line and its continuation

  carol
list: :include:/etc/mail/list
:include:/etc/mail/more
owner-list:alice
blackhole : /dev/null
pipe: "|/bin/cmd with: colon"
"first last": alice
"at@sign.example": alice
user@sendmail.example: alice
"""

VIRTUAL = b"""\
# virtual(5)
virtual.example anything
info@virtual.example\talice
Sales@Virtual.Example  alice, bob
@catchall.example  alice
plain  alice
"a b"@virtual.example alice
fred@[192.0.2.1] alice
user@[IPv6:2001:db8::1] alice
srs0=x=y@virtual.example alice
plus+ext@virtual.example alice
dotted@virtual.example. alice
"""


def address(text: str | bytes) -> Address:
    """The recipient that a test means."""
    found = parse_bare(text.encode() if isinstance(text, str) else text)
    assert isinstance(found, Address)
    return found


@pytest.fixture
def both(tmp_path: Path) -> Aliases:
    """Both files above."""
    paths = tmp_path / "aliases", tmp_path / "virtual"
    for path, data in zip(paths, (ALIASES, VIRTUAL), strict=True):
        path.write_bytes(data)
    told: list[str] = []
    found = Aliases([str(path) for path in paths], told.append)
    assert told == []
    return found


@pytest.mark.parametrize(
    ("recipient", "covered"),
    [
        ("postmaster", True),
        ("postmaster@example.org", True),
        ("Postmaster@any.example", True),
        ("mailer-daemon@example.org", True),
        ("root@example.org", True),
        ("root+ext@example.org", True),
        ("list@example.org", True),
        ("owner-list@example.org", True),
        ("blackhole@example.org", True),
        ("pipe@example.org", True),
        ("first last@example.org", True),
        ("at@sign.example", True),
        ("at@other.example", False),
        ("user@sendmail.example", True),
        ("user@example.org", False),
        ("alice@example.org", False),
        ("bob@example.org", False),
        ("bob,@example.org", False),
        ("carol@example.org", False),
        ("info@virtual.example", True),
        ("info+ext@virtual.example", True),
        ("INFO@VIRTUAL.EXAMPLE", True),
        ("info@example.org", False),
        ("info", False),
        ("sales@virtual.example", True),
        ("nobody@virtual.example", False),
        ("anybody@catchall.example", True),
        ("anybody@sub.catchall.example", False),
        ("plain@example.org", True),
        ("plainer@example.org", False),
        ("a b@virtual.example", True),
        ("fred@[192.0.2.1]", True),
        ("user@[IPv6:2001:DB8::1]", True),
        ("srs0=x=y@virtual.example", True),
        ("plus+ext@virtual.example", True),
        ("plus@virtual.example", False),
        ("plus+other@virtual.example", False),
        ("dotted@virtual.example", True),
        ("+root@example.org", False),
    ],
)
def test_aliases_cover_addresses(both: Aliases, recipient: str, covered: bool) -> None:
    """A recipient is an alias by its address, its unextended address, its name or its domain."""
    assert both.covers(address(recipient)) is covered


def test_without_files_nothing_is_an_alias() -> None:
    """Without files nothing is an alias."""
    assert not Aliases([]).covers(address("postmaster"))


def test_a_domain_in_utf_8_and_its_xn_form_are_the_same(tmp_path: Path) -> None:
    """A domain in UTF-8 and its xn-- form are the same domain."""
    path = tmp_path / "virtual"
    path.write_text("info@b\u00fccher.example alice\n@xn--mnchen-3ya.example alice\n")
    found = Aliases([str(path)])
    assert found.covers(address("info@xn--bcher-kva.example"))
    assert found.covers(address("x@m\u00fcnchen.example"))


@pytest.mark.parametrize(
    ("data", "line", "problem"),
    [
        (b"  lost: alice\n", 1, "a continuation line without a line before it"),
        (b"# c\n\n\tlost\n", 3, "a continuation line without a line before it"),
        (b"name\n", 1, "nothing behind the name; write `name: value` or `pattern value`"),
        (b"a: b\nname:\n\nc: d\n", 2, "nothing behind the name"),
        (b": value\n", 1, "no name before the colon"),
        (b'"open: value\n', 1, "an unfinished quoted string"),
        (b'"": value\n', 1, "no local part"),
        (b"a(b: value\n", 1, "a special character outside of quotes"),
        (b"na\0me: value\n", 1, "a NUL byte"),
        (b"na\x01me: value\n", 1, "a control character"),
        (b"@ value\n", 1, "no domain behind the @"),
        (b"@a..b value\n", 1, "no domain behind the @"),
        (b"a@b..c value\n", 1, "a domain with characters or dots"),
        (b"a@ value\n", 1, "no domain behind the @"),
    ],
)
def test_wrong_lines_are_told_and_skipped(data: bytes, line: int, problem: str) -> None:
    """A wrong line is told with its number and skipped; the others count."""
    found, problems = parse(data + b"good: alice\n")
    assert b"good" in found
    ((number, text),) = problems
    assert number == line
    assert text.startswith(problem)
    assert "the line is skipped: " in text


def test_a_line_beyond_the_limit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logical line beyond the limit is skipped, however it is continued."""
    monkeypatch.setattr(aliases, "MAX_LINE", 20)
    found, problems = parse(b"long: a,\n b,\n c,\n d,\n e,\n f\nshort: a\n")
    assert found == {b"short"}
    assert problems[0][1].startswith("more than 20 bytes; the line is skipped: 'long: a, b")


def test_no_newline_at_the_end() -> None:
    """The last line counts without a line end, and CR before LF does not matter."""
    assert parse(b"a: b\r\nc d") == (frozenset({b"a", b"c"}), [])


def test_changed_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file counts at the next refresh; wrong lines are told with the file's name."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    told: list[str] = []
    path = tmp_path / "aliases"
    path.write_text("old: alice\n")
    found = Aliases([str(path)], told.append)
    path.write_text("newer: alice\nwrong\n")
    assert not found.covers(address("newer"))
    found.refresh()
    assert found.covers(address("newer"))
    assert not found.covers(address("old"))
    assert [text.startswith(f"{path}:2: nothing behind the name") for text in told] == [True]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """An alias file that cannot be read is a configuration error that names it."""
    with pytest.raises(ConfigurationError, match="none: cannot be read: No such file"):
        Aliases([str(tmp_path / "none")])


@given(st.one_of(st.binary(max_size=100), st.text('ab:"\\ \t\n#@[],', max_size=40).map(str.encode)))
def test_parse_never_raises(data: bytes) -> None:
    """Any bytes are an alias file, with problems that name lines which exist."""
    found, problems = parse(data)
    assert all(entry == entry.lower() for entry in found)
    assert all(1 <= line <= data.count(b"\n") + 1 for line, _ in problems)


@pytest.mark.parametrize(
    ("delimiters", "covered"),
    [
        (b"+", {"sales+x", "sales+x-y"}),
        (b"+-", {"sales+x", "sales-x", "sales-x+y", "sales+x-y"}),
        (b"", set()),
    ],
)
def test_every_delimiter_begins_an_extension(
    tmp_path: Path, delimiters: bytes, covered: set[str]
) -> None:
    """As recipient_delimiter has them; nothing else does."""
    path = tmp_path / "aliases"
    path.write_text("sales: fred\n")
    found = Aliases([str(path)], print, delimiters)
    names = {"sales+x", "sales-x", "sales-x+y", "sales+x-y", "sales=x", "salesx", "+sales"}
    assert {name for name in names if found.covers(address(f"{name}@x.test"))} == covered
    assert found.covers(address("sales@x.test"))


@pytest.mark.parametrize("head", [head for _, head in plaintext._MAGICS])
def test_a_compiled_database_is_an_error_that_names_the_text_file(
    tmp_path: Path, head: bytes
) -> None:
    """Its names would be read as one line of nonsense, and every alias be refused."""
    offset = next(offset for offset, magic in plaintext._MAGICS if magic == head)
    path = tmp_path / "aliases.db"
    path.write_bytes(b"\x01" * offset + head + b"sales")
    with pytest.raises(ConfigurationError, match=r"aliases\.db: this is a compiled database; name"):
        Aliases([str(path)])
    path.write_bytes(b"sales" + bytes(1000))
    with pytest.raises(ConfigurationError, match="compiled database"):
        Aliases([str(path)])


@pytest.mark.real
@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb"])
def test_what_postmap_makes_is_known_as_compiled(tmp_path: Path, kind: str) -> None:
    """Real databases of each type that this Postfix has."""
    require("postfix")
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    source = tmp_path / "virtual"
    source.write_text("sales@x.test fred@x.test\n")
    made = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}[kind]
    done = complete(["/usr/sbin/postmap", "-c", str(tmp_path), f"{kind}:{source}"])
    if b"unsupported dictionary type" in done.stderr:
        return  # this Postfix makes none
    with pytest.raises(ConfigurationError, match="compiled database"):
        Aliases([str(source) + made])
    assert Aliases([str(source)]).covers(address("sales@x.test"))
