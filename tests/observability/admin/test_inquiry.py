"""The query of /explain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frontends.inquiry import BadInquiry, Inquiry
from gateway.observability.admin.inquiry import parse


@pytest.mark.parametrize(
    ("query", "inquiry"),
    [
        ("recipient=fred", Inquiry(recipient=b"fred")),
        ("recipient=fred%40example.org", Inquiry(recipient=b"fred@example.org")),
        ("recipient=fred+work@example.org", Inquiry(recipient=b"fred+work@example.org")),
        ("recipient=%3Cfred%3E", Inquiry(recipient=b"fred")),
        ("recipient=a=b", Inquiry(recipient=b"a=b")),
        ("recipient=%ff%00", Inquiry(recipient=b"\xff\x00")),
        ("recipient=a&size=&client=", Inquiry(recipient=b"a")),
        ("recipient=a&size=10", Inquiry(recipient=b"a", size=10)),
        ("recipient=a&sender=", Inquiry(recipient=b"a", sender=b"")),
        ("recipient=a&sender=%3C%3E", Inquiry(recipient=b"a", sender=b"")),
        (
            "client=192.0.2.1&mailer=local&sender=s&recipient=a",
            Inquiry(recipient=b"a", client=b"192.0.2.1", mailer=b"local", sender=b"s"),
        ),
    ],
)
def test_percent_encoded_bytes_are_decoded(query: str, inquiry: Inquiry) -> None:
    """Percent-encoded bytes; a plus sign is one."""
    assert parse(query) == inquiry


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "write the recipient"),
        ("recipient=", "write the recipient"),
        ("recipient=%3C%3E", "write the recipient"),
        ("recipient", "write the recipient"),
        ("recipient=a&recipient=b", "recipient is given twice"),
        ("rcpt=a", "there is no 'rcpt'"),
        ("recipient=a&size=-1", "size -1: write a number of bytes"),
        ("recipient=a&size=1e3", "size 1e3: write a number of bytes"),
        ("recipient=a&size=" + "9" * 21, "size 9+: write a number of bytes"),
        ("recipient=a&client=mx", "client mx: this is not an IP address"),
    ],
)
def test_questions_that_ask_nothing(query: str, problem: str) -> None:
    """Each says how to ask."""
    with pytest.raises(BadInquiry, match=problem):
        parse(query)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=100))
def test_no_query_breaks_it(query: str) -> None:
    """An inquiry, or the reason why not."""
    try:
        parse("recipient=" + query)
    except BadInquiry as error:
        assert str(error)
