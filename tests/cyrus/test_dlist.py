"""dlists: the strict reading and the lenient one, after imap/dlist.c."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus import dlist
from gateway.cyrus.dlist import DlistError, events, items

# How deep lists may stand in lists.
DEEP = 16


def flat(data: bytes) -> str:
    """The events in one line: ( ) { } for lists, name=string."""
    marks = {
        dlist.LIST_START: "(",
        dlist.LIST_END: ")",
        dlist.KVLIST_START: "{",
        dlist.KVLIST_END: "}",
    }
    words = []
    for event, name, string in events(data):
        if event == dlist.STRING:
            shown = string.decode("latin-1") if string is not None else "NIL"
            words.append(f"{name.decode('latin-1')}={shown}")
        else:
            words.append(name.decode("latin-1") + marks[event])
    return " ".join(words)


STRICT = [
    (b"%()", "{ }"),
    (b"%(T e)", "{ T=e }"),
    (b"%(T e A %(anyone lrs))", "{ T=e A{ anyone=lrs } }"),
    (b"%(A %() H ())", "{ A{ } H( ) }"),
    (b"%(H (%(N a T e) %(N b)))", "{ H( { N=a T=e } { N=b } ) }"),
    (b'%(N "a b" S x)', "{ N=a b S=x }"),
    (b'%(N "a\\"b\\\\" S x)', '{ N=a"b\\ S=x }'),
    (b'%("a key" x)', "{ a key=x }"),
    (b"%(N {5}\r\na b)c S x)", "{ N=a b)c S=x }"),
    (b"%(N {5+}\r\na b)c)", "{ N=a b)c }"),
    (b"%(T NIL)", "{ T=NIL }"),
    (b'%(T "NIL")', "{ T=NIL }"),
    (b"%(T )", "{ T= }"),
    (b"%(T e )", "{ T=e }"),
    (b"%(T a(b)", "{ T=a(b }"),
    (b"(a b (c))", "( =a =b ( =c ) )"),
    (b"(a  b)", "( =a = =b )"),
    (b"%(H (a ) P p)", "{ H( =a ) P=p }"),
    (b"atom", "=atom"),
    (b"{0000000003}\r\na b", "=a b"),
    (b"(" * DEEP + b")" * DEEP, " ".join("(" * DEEP + ")" * DEEP)),
]


@pytest.mark.parametrize(("data", "shown"), STRICT)
def test_lists_names_strings_and_nesting_come_out_in_order(data: bytes, shown: str) -> None:
    """Lists, names, strings and nesting come out in order."""
    assert flat(data) == shown


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%",
        b"%x",
        b"%(",
        b"%(T",
        b"%(T)",
        b"%(T e",
        b"%(T e ",
        b"%(broken)",
        b"%(T e I unterminated",
        b"%(T  e)",
        b"%(T e)x",
        b"%(T\te)",
        b'%(T "e)',
        b'%(T "e\\',
        b"%(T {3}ab)",
        b"%(T {9}\r\nab)",
        b"{0x",
        b"%(T {x}\r\nab)",
        b"%(T {99999999999999999999}\r\nab)",
        b"%(NIL e)",
        b"%(T %{a b 1}\r\nx)",
        b"(" * (DEEP + 1) + b")" * (DEEP + 1),
    ],
)
def test_whatever_breaks_off_is_an_error(data: bytes) -> None:
    """Whatever breaks off or is out of place is an error, and not a trailing one."""
    with pytest.raises(DlistError) as caught:
        list(events(data))
    assert not caught.value.trailing


@pytest.mark.parametrize("data", [b"%(T e) ", b"%()x", b"() ()", b'"a"b', b" x"])
def test_something_behind_a_whole_value_is_another_fault(data: bytes) -> None:
    """Something behind a whole value is another fault to Cyrus."""
    with pytest.raises(DlistError) as caught:
        list(events(data))
    assert caught.value.trailing


def nested(depth: int) -> dlist.Items:
    """An empty list in lists, `depth` in all."""
    return ((b"", nested(depth - 1)),) if depth > 1 else ()


LENIENT: list[tuple[bytes, dlist.Items | None]] = [
    (b"%()", ()),
    (b"%(S (5 1))", ((b"S", ((b"", b"5"), (b"", b"1"))),)),
    (b"%( S ( 5\t1 ) )", ((b"S", ((b"", b"5"), (b"", b"1"))),)),
    (b"%(S(5 1)M 3)", ((b"S", ((b"", b"5"), (b"", b"1"))), (b"M", b"3"))),
    (b'%(S "5 1")', ((b"S", b"5 1"),)),
    (b"%(S {3}\r\n5 1 M 3)", ((b"S", b"5 1"), (b"M", b"3"))),
    (b"%(S %(a 5))", ((b"S", ((b"a", b"5"),)),)),
    # damage is an empty record
    (b"", None),
    (b"%", None),
    (b"%garbage", None),
    (b"%(S (5 1) ", None),
    (b"%(S (5 1)", None),
    (b"%(S )", None),
    (b"%(S)", None),
    (b'%(S "5', None),
    (b'%(S "5\n")', None),
    (b"%(S {9}\r\n5)", None),
    (b"%(S %{x})", None),
    (b"atom", None),
    (b"(" * DEEP + b")" * DEEP, nested(DEEP)),
    (b"(" * (DEEP + 1) + b")" * (DEEP + 1), None),
]


@pytest.mark.parametrize(("data", "found"), LENIENT)
def test_lenient_lists_take_any_white_space(data: bytes, found: dlist.Items | None) -> None:
    """Any white space will do, and damage is None."""
    assert items(data) == found


@pytest.mark.parametrize("data", [b"%(S (5 1)) ", b"%(S (5 1))x", b"%()%()"])
def test_only_what_follows_a_whole_lenient_list_is_an_error(data: bytes) -> None:
    """Only what follows a whole list is an error."""
    with pytest.raises(DlistError) as caught:
        items(data)
    assert caught.value.trailing


@given(st.binary() | st.text('%()" {}+\r\nTNIL13\\').map(str.encode))
def test_no_bytes_raise_anything_but_dlist_errors(data: bytes) -> None:
    """No bytes raise anything but DlistError."""
    with contextlib.suppress(DlistError):
        list(events(data))
    with contextlib.suppress(DlistError):
        items(data)


@given(st.lists(st.tuples(st.binary(min_size=1), st.binary()), max_size=5))
def test_literals_and_quotes_carry_anything(pairs: list[tuple[bytes, bytes]]) -> None:
    """What is written as literals comes back, in the strict reading."""
    words = (b"{%d}\r\n%b {%d+}\r\n%b" % (len(k), k, len(v), v) for k, v in pairs)
    data = b"%(" + b" ".join(words) + b")"
    assert [(k, v) for event, k, v in events(data) if event == dlist.STRING] == pairs
