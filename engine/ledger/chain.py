"""The hash chain: each event's hash covers the hash before it and every column, so no byte can change unseen."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from engine.ledger.upcast import body_of
from engine.model.event import EVENT_VERSION, Event, encode_body

DIGEST_SIZE = 16
GENESIS = bytes(DIGEST_SIZE)
"""What stands before the first event."""

Columns = tuple[int, int, str, int, str, str, str, str, str, int, int, str]
"""seq, time_ns, type, version, account, venue, instrument, owner, request_id, causation, epoch, payload."""

# msgpack writes types and lengths, so no two rows share their bytes.
_canonical = msgspec.msgpack.Encoder().encode
# Copied for each link: a fifth faster than making a new one.
_blank = blake2b(digest_size=DIGEST_SIZE)


def link(previous: bytes, columns: Columns) -> bytes:
    """The hash of an event's columns after `previous`."""
    digest = _blank.copy()
    digest.update(_canonical((previous, columns)))
    return digest.digest()


def columns_of(event: Event) -> Columns:
    """The event as the ledger stores it, without its hash."""
    body = event.body
    return (
        event.seq,
        event.time_ns,
        type(body).__name__,
        EVENT_VERSION,
        event.account,
        event.venue,
        event.instrument,
        event.owner,
        event.request_id,
        event.causation,
        event.epoch,
        encode_body(body).decode(),
    )


def event_of(columns: Columns) -> Event:
    """The event that stored columns stand for, whatever their version; raises msgspec.MsgspecError on a payload that is
    no body."""
    seq, time_ns, kind, version, account, venue, instrument, owner, request_id, causation, epoch, payload = columns
    body = body_of(kind, version, payload)
    return Event(seq, time_ns, account, venue, instrument, owner, request_id, causation, epoch, body)
