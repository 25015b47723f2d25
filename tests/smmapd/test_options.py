"""The command line: what cyrus.conf may say after `smmapd`."""

from __future__ import annotations

import pytest

from smmapd.options import Options, UsageError, atoi, parse


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", Options()),
        ("-C /x/imapd.conf", Options(config="/x/imapd.conf")),
        ("-U 5 -T 7", Options(uses=5, timeout=7)),
        ("-T 0", Options(timeout=0)),
        ("-U 0", Options(uses=1)),
        ("-U -3 -T -1", Options(uses=1, timeout=0)),
        ("-U 12abc", Options(uses=12)),
        ("-U many", Options(uses=1)),
        ("-U +4", Options(uses=4)),
        ("-U 5 -U 6", Options(uses=6)),
        ("-D -p -X", Options(debugger=True, skip_plus=True, stdio=True)),
        ("-p -C x -p", Options(config="x", skip_plus=True)),
        ("-C -p", Options(config="-p")),
        ("-p --", Options(skip_plus=True)),
        ("--", Options()),
    ],
)
def test_each_option_has_its_default(words: str, options: Options) -> None:
    """Each option with its default; numbers are read as C's atoi reads them."""
    assert parse(words.split()) == options


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("-Z", "invalid option '-Z'"),
        ("-c x", "invalid option '-c'"),
        ("-U5", "'-U5': options and arguments MUST be separated by whitespace"),
        ("-pX", "'-pX': options and arguments MUST be separated by whitespace"),
        ("--help", "invalid option '--help'"),
        ("-C", "option '-C' requires an argument"),
        ("-p -T", "option '-T' requires an argument"),
        ("smmapd", "'smmapd' is not an option"),
        ("-p -- more", "'more' is not an option"),
        ("-", "'-' is not an option"),
    ],
)
def test_words_that_make_no_sense(words: str, complaint: str) -> None:
    """The message names the word."""
    with pytest.raises(UsageError) as caught:
        parse(words.split())
    assert str(caught.value) == complaint


def test_an_empty_word_is_no_option() -> None:
    """As a shell passes it for an unset variable in quotes."""
    with pytest.raises(UsageError, match="'' is not an option"):
        parse([""])


def test_without_options_all_are_the_defaults() -> None:
    """Those of the class itself, too."""
    assert parse([]) == Options()
    assert not (Options().debugger or Options().skip_plus or Options().stdio)


def test_defaults_are_those_of_the_manual_page() -> None:
    """smmapd(8): 250 connections, 60 seconds, /etc/imapd.conf."""
    assert (Options().uses, Options().timeout, Options().config) == (250, 60, "/etc/imapd.conf")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("0", 0),
        ("42", 42),
        ("  42", 42),
        ("\t\n-42", -42),
        ("+1", 1),
        ("+-1", 0),
        ("- 1", 0),
        ("0x10", 0),
        ("1e3", 1),
        ("٣", 0),
    ],
)
def test_numbers_are_read_as_atoi_reads_them(text: str, number: int) -> None:
    """Leading blanks, one sign, ASCII digits, and the rest is ignored."""
    assert atoi(text) == number
