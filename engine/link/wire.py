"""Frames: a big-endian u32 length, then that many bytes of msgpack."""

from __future__ import annotations

import asyncio

from engine.link.messages import MAX_FRAME

_HEAD = 4


class FrameTooLong(ValueError):
    """A frame longer than MAX_FRAME: the other side is not one of ours, or has a bug."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a frame of {size:,} bytes; at most {MAX_FRAME:,} are allowed")


def frame(body: bytes) -> bytes:
    """`body` with its length in front; raises FrameTooLong."""
    if len(body) > MAX_FRAME:
        raise FrameTooLong(len(body))
    return len(body).to_bytes(_HEAD, "big") + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame's body, None at the end of the stream (also in the middle of a frame); raises FrameTooLong, OSError."""
    try:
        size = int.from_bytes(await reader.readexactly(_HEAD), "big")
        if size > MAX_FRAME:
            raise FrameTooLong(size)
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return None
