"""Tables as main.cf names them: what they are asked for, and what they rest on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.mta.postconf import split_list
from gateway.mta.tables import Table, parse, runs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("hash:/a, hash:/b  cdb:/c,", ["hash:/a", "hash:/b", "cdb:/c"]),
        ("inline:{ a=b, {c = d e} } hash:/x", ["inline:{ a=b, {c = d e} }", "hash:/x"]),
        ("pipemap:{hash:/a,ldap:/b}", ["pipemap:{hash:/a,ldap:/b}"]),
        ("a}b c", ["a}b", "c"]),
        ("{a, b", ["{a, b"]),
    ],
)
def test_words_of_a_list(text: str, words: list[str]) -> None:
    """Braces hold words together (postconf(5))."""
    assert split_list(text) == words


@pytest.mark.parametrize(
    ("word", "table"),
    [
        ("hash:/etc/aliases", Table("hash", "/etc/aliases")),
        ("proxy:pgsql:/etc/x.cf", Table("pgsql", "/etc/x.cf")),
        ("proxy:unix:passwd.byname", Table("unix", "passwd.byname")),
        ("socketmap:inet:127.0.0.1:1:x", Table("socketmap", "inet:127.0.0.1:1:x")),
        ("example.org", None),
        ("/etc/postfix/domains", None),
        ("[::1]", None),
        ("hash:", None),
    ],
)
def test_words_that_name_tables(word: str, table: Table | None) -> None:
    """proxymap is left out: it talks to nobody but Postfix."""
    assert parse(word) == table


@pytest.mark.parametrize(
    ("word", "whole"),
    [
        ("hash:/x", False),
        ("lmdb:/x", False),
        ("texthash:/x", False),
        ("inline:{a=b}", False),
        ("static:{x}", False),
        ("unix:passwd.byname", False),
        ("pcre:/x", True),
        ("regexp:/x", True),
        ("cidr:/x", True),
        ("tcp:localhost:10002", True),
        ("socketmap:unix:/x:y", True),
        ("pipemap:{hash:/a, pcre:/b}", True),
        ("unionmap:{hash:/a, hash:/b}", False),
        ("ldap:valias", True),  # parameters in main.cf, which are not looked into
        ("pgsql:/nonexistent", True),
    ],
)
def test_who_is_asked_for_whole_addresses_only(word: str, whole: bool) -> None:
    """DICT_FLAG_PATTERN in Postfix' sources."""
    table = parse(word)
    assert table is not None
    assert table.whole_keys_only() is whole


@pytest.mark.parametrize(
    ("query", "whole"),
    [
        ("query = SELECT a FROM t WHERE k = '%s'", False),
        ("query = SELECT a FROM t WHERE u = '%u' AND d = '%d'", True),
        ("query = SELECT a FROM t\n  WHERE d = '%2'", True),
        ("query_filter = (mail=%s)\nsearch_base = dc=%d", True),
        ("query_filter = (mail=%s)\nresult_attribute = mail\nresult_format = %u", False),
        ("query = SELECT '%s'\ndomain = example.org", True),
        ("query = SELECT '%s'\ndomain =", False),
    ],
)
def test_queries_that_take_the_key_apart(tmp_path: Path, query: str, whole: bool) -> None:
    """db_common.c: such a table sees no address without its extension."""
    file = tmp_path / "query.cf"
    file.write_text(query + "\n")
    assert Table("pgsql", str(file)).whole_keys_only() is whole


def test_tables_are_asked_in_as_few_calls_as_their_order_allows() -> None:
    """One call for neighbours that are asked for the same keys."""
    named = [parse(word) for word in ("hash:/a", "cdb:/b", "pcre:/c", "regexp:/d", "hash:/e")]
    found = runs("postmap", [table for table in named if table is not None])
    assert [run.name for run in found] == ["hash:/a, cdb:/b", "pcre:/c, regexp:/d", "hash:/e"]
    assert [run.whole for run in found] == [False, True, False]
    assert [run.all_in_files for run in found] == [True] * 3
    assert found[0].files == ("/a.db", "/b.cdb")


def test_what_another_server_says_is_in_no_file() -> None:
    """So no file tells when it changes."""
    table = Table("ldap", "/etc/ldap.cf")
    assert table.files == ()
    assert not runs("postmap", [table])[0].all_in_files
