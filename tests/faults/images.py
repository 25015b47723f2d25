"""Damaged copies of a file: each is a name, for messages, and the bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator

Image = tuple[str, bytes]

# Eight-byte words that a size or a pointer is set to; four-byte ones are their ends.
EXTREMES = (0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def flipped(image: bytes, masks: tuple[int, ...], stride: int = 1) -> Iterator[Image]:
    """Every `stride`-th byte, changed by each of `masks`."""
    for place in range(0, len(image), stride):
        for mask in masks:
            broken = bytearray(image)
            broken[place] ^= mask
            yield f"byte {place} ^ {mask:#x}", bytes(broken)


def cut_off(image: bytes, stride: int = 1) -> Iterator[Image]:
    """The file cut off behind every `stride`-th byte, and empty."""
    for size in range(0, len(image), stride):
        yield f"cut off at {size}", image[:size]


def blotted(image: bytes, stride: int = 1) -> Iterator[Image]:
    """Blocks of zeros, of ones and of noise, as disks and file systems leave them behind."""
    noise = random.Random(5).randbytes(len(image))
    for size in (8, 64, 512):
        for at in range(0, len(image), max(stride, size // 2)):
            end = min(len(image), at + size)
            for name, data in (("zeros", bytes(size)), ("ones", b"\xff" * size), ("noise", noise)):
                yield f"{size} {name} at {at}", image[:at] + data[: end - at] + image[end:]


def extreme(image: bytes, order: str, stride: int = 4) -> Iterator[Image]:
    """Words of four and eight bytes set to extremes, and to places of the file itself.

    `order` is that of the format's bytes, "big" or "little".
    """
    little = order == "little"
    places = [*range(0, len(image), 64), len(image) - 8, len(image), len(image) + 8]
    for at in range(0, len(image) - 8, stride):
        for number in (*EXTREMES, *places):
            word = number.to_bytes(8, "little" if little else "big")
            for size in (4, 8):
                part = word[:size] if little else word[8 - size :]
                broken = image[:at] + part + image[at + size :]
                if broken != image:
                    yield f"{number:#x} in {size} bytes at {at}", broken


def swapped(image: bytes, size: int = 16) -> Iterator[Image]:
    """Two blocks changed places, as a lost or misdirected write leaves them."""
    blocks = [image[at : at + size] for at in range(0, len(image), size)]
    for first in range(len(blocks)):
        for second in range(first + 1, len(blocks)):
            mixed = list(blocks)
            mixed[first], mixed[second] = mixed[second], mixed[first]
            yield f"blocks {first} and {second} swapped", b"".join(mixed)


def thinned(images: Iterator[Image], most: int) -> list[Image]:
    """At most about `most` of them, evenly spread, the same ones every time."""
    everything = list(images)
    step = max(1, -(-len(everything) // most))
    return everything[::step]
