"""Pictures of users: a square in one colour, as a PNG file."""

from __future__ import annotations

import colorsys
import struct
import zlib

_LARGEST = 512


def avatar(user_id: int, size: int) -> bytes:
    """Draw a PNG of *size* by *size* pixels (1 to 512) in the colour of the user with this id."""
    size = max(1, min(size, _LARGEST))
    red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(user_id * 0.381966 % 1, 0.4, 0.5))
    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
