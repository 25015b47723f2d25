"""Keys of one CRC-32, as somebody may choose them who may choose names."""

from __future__ import annotations

from zlib import crc32


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()
_BY_FIRST_BITS = {value >> 24: byte for byte, value in enumerate(_TABLE)}


def colliding(start: bytes, code: int) -> bytes:
    """`start` and four more bytes, so that the CRC-32 of all is `code`."""
    wanted = code ^ 0xFFFFFFFF
    chosen = []
    for _ in range(4):
        byte = _BY_FIRST_BITS[wanted >> 24]
        wanted = (wanted ^ _TABLE[byte]) << 8 & 0xFFFFFFFF
        chosen.append(byte)
    state = crc32(start) ^ 0xFFFFFFFF
    more = bytearray()
    for byte in reversed(chosen):
        more.append((state ^ byte) & 0xFF)
        state = state >> 8 ^ _TABLE[byte]
    made = start + bytes(more)
    assert crc32(made) == code
    return made
