"""Faults: one type each, and messages that name what is at fault."""

from __future__ import annotations

import pytest

from gateway import errors
from gateway.errors import (
    ConfigurationError,
    DatabaseDamaged,
    DatabaseMissing,
    DatabaseUnavailable,
    GatewayError,
    ProtocolError,
    RecordDamaged,
    StoreError,
    UpstreamError,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigurationError("what"), "what"),
        (ConfigurationError("what", file="/x"), "/x: what"),
        (ConfigurationError("what", file="/x", line=3), "/x:3: what"),
        (ConfigurationError("what", option="o"), "o: what"),
        (ConfigurationError("what", file="/x", line=3, option="o"), "/x:3: o: what"),
        (ConfigurationError("what", line=3), "what"),
        (StoreError("/x", "what"), "/x: what"),
        (DatabaseUnavailable("/x", "what"), "/x: what"),
        (DatabaseMissing("/x", "what"), "/x: what"),
        (DatabaseDamaged("/x", "what"), "/x: what"),
        (RecordDamaged("/x", b"k\0", "what"), "/x: record b'k\\x00': what"),
        (UpstreamError("host", "what"), "host: what"),
        (ProtocolError("missing length"), "missing length"),
    ],
)
def test_a_message_begins_with_where_the_fault_is(error: GatewayError, text: str) -> None:
    """The file, its line, the option, the record or the server comes first."""
    assert str(error) == text


def test_a_damaged_record_carries_what_the_client_is_told() -> None:
    """The C program's words for it."""
    assert RecordDamaged("/x", b"k", "what").text == b"Mailbox has an invalid format"
    assert RecordDamaged("/x", b"k", "what", text=b"other").text == b"other"


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (ConfigurationError, GatewayError),
        (StoreError, GatewayError),
        (ProtocolError, GatewayError),
        (UpstreamError, GatewayError),
        (DatabaseUnavailable, StoreError),
        (DatabaseMissing, DatabaseUnavailable),
        (DatabaseDamaged, StoreError),
        (RecordDamaged, StoreError),
    ],
)
def test_families_of_errors_are_caught_together(
    error: type[GatewayError], parent: type[GatewayError]
) -> None:
    """What is caught together: the type says whose fault it is."""
    assert issubclass(error, parent)


def test_every_fault_of_ours_is_a_gateway_error() -> None:
    """One root, to tell them from a defect."""
    own = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, GatewayError) for error in own)
