"""What the engine says of a recipient, as the C program does, byte for byte (lib/imap_err.et)."""

from __future__ import annotations

NONEXISTENT_TEXT = b"Mailbox does not exist"
OVER_QUOTA_TEXT = b"Over quota"
NOT_POSTABLE_TEXT = b"Permission denied"
RESERVED_TEXT = b"Mailbox is currently reserved"
IO_ERROR_TEXT = b"System I/O error"
DISABLED_TEXT = b"Mailbox has been disabled"
BAD_NAME_TEXT = b"Invalid mailbox name"
NOT_FOR_MAIL_TEXT = b"Operation is not supported on mailbox"

# Ours; the C program has no such cases.
SIZE_TEXT = b"Message does not fit into the free quota"
BAD_ADDRESS_TEXT = b"Bad recipient address syntax"
UNREACHABLE_TEXT = b"Mailbox server is not available"
LOOP_TEXT = b"Mailbox servers point at each other"
