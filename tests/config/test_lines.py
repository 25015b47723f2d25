"""The scan for the lines of keys in a TOML file."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.lines import key_lines, line_of

TEXTS = [
    ("a = 1\n\n# c = 3\nb = 2", {"a": 1, "b": 4}),
    ("[t]\na = 1\n[ u . v ]\nb=1\n", {"t": 1, "t.a": 2, "u.v": 3, "u.v.b": 4}),
    ('"q r" = 1\nx."y.z" = 2\n', {"q r": 1, "x.y.z": 2}),
    ("a = [ # [x]\n  1,\n  2 ]\nb = 1\n", {"a": 1, "b": 4}),
    ('a = """\nb = 1\n[t]\n"""\nc = 1\n', {"a": 1, "c": 5}),
    ("a = '''\nb = 1\n'''\nc = 1\n", {"a": 1, "c": 4}),
    ('a = "\\"#[" # ]\nb = 1\n', {"a": 1, "b": 2}),
    ("a = { b = 1, c = [1, 2] }\nd = 1\n", {"a": 1, "d": 2}),
    ("[[t]]\na = 1\n[[t]]\na = 1\n", {"t": 1, "t.a": 2}),
    ("\r\na = 1\r\n", {"a": 2}),
]


@pytest.mark.parametrize(("text", "lines"), TEXTS)
def test_keys_and_tables_are_found_on_their_lines(text: str, lines: dict[str, int]) -> None:
    """Strings, lists and comments over several lines hide nothing and add nothing."""
    tomllib.loads(text)
    assert key_lines(text) == lines


def test_a_key_without_a_line_has_that_of_what_is_around_it() -> None:
    """A key of an inline table is on the line of the table; a missing one may have none."""
    lines = {"a": 1, "t.b": 3}
    assert line_of(lines, "a.x.y") == 1
    assert line_of(lines, "t.b") == 3
    assert line_of(lines, "t.c") is None


_NAMES = st.text("abc-_1", min_size=1, max_size=4)
_VALUES = st.recursive(
    st.integers(0, 9).map(str) | st.text("ab# [=]{}'", max_size=5).map(lambda text: f'"{text}"'),
    lambda inner: st.lists(inner, max_size=3).map(lambda each: "[\n" + ",\n".join(each) + "]"),
    max_leaves=4,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=6), st.sampled_from(["", "# [x]\n", "\n\n"]))
def test_each_key_of_a_valid_file_is_found_where_it_was_written(
    keys: dict[str, str], between: str
) -> None:
    """Whatever values look like, the line of every key is the one it begins on."""
    text = ""
    expected = {}
    for key, value in keys.items():
        text += between
        expected[key] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    tomllib.loads(text)
    assert key_lines(text) == expected


@given(st.text(max_size=60))
def test_any_text_is_survived(text: str) -> None:
    """The scan ends on whatever it gets."""
    key_lines(text)
