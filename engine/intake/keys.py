"""API keys `hx_<id>_<secret>`: made, kept as hashes, compared in constant time; signatures of senders that can sign.

The secret is 256 random bits, so nobody can try them all, and a fast hash is the right one: slow password hashes protect
secrets that people chose. Here one would only let strangers burn the engine's time.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

SIGNATURE_WINDOW_NS = 300 * 1_000_000_000
"""How far a signature's timestamp may lie from now."""

_KEY = re.compile(r"hx_([0-9a-f]{8})_([0-9a-f]{64})", re.ASCII)
_KEY_LIKE = r"hx_([0-9A-Za-z]{1,16})_[^\s\"'\\,}]+"
_LOOKS_LIKE_A_KEY = re.compile(_KEY_LIKE, re.ASCII)
_MAY_BE_SECRET = re.compile(_KEY_LIKE + r"|[0-9a-fA-F]{48,}", re.ASCII)
_NOBODY = sha256(b"nobody").hexdigest()


class KeyHash(Struct, frozen=True, forbid_unknown_fields=True):
    """A key as it is kept: enough to recognise it, not enough to use it."""

    id: str
    hash: str
    """sha256 of the secret, hex."""
    made_ns: int
    """When, ns UTC."""


class NewKey(NamedTuple):
    """`text` is shown once and never kept."""

    text: str
    kept: KeyHash


def new_key(now_ns: int) -> NewKey:
    """A key of 256 random bits."""
    name, secret = secrets.token_hex(4), secrets.token_hex(32)
    return NewKey(f"hx_{name}_{secret}", KeyHash(name, _hash(secret), now_ns))


def new_hmac_secret() -> str:
    """What a sender signs with: 256 random bits, hex. Kept as it is, for a signature cannot be checked with a hash of it."""
    return secrets.token_hex(32)


def split(text: object) -> tuple[str, str] | None:
    """The id and the secret of what has the form of a key."""
    found = _KEY.fullmatch(text) if isinstance(text, str) else None
    return (found[1], found[2]) if found else None


def matches(secret: str, kept: KeyHash | None) -> bool:
    """Whether `secret` belongs to a key; takes as long when there is none."""
    same = hmac.compare_digest(_hash(secret), kept.hash if kept else _NOBODY)
    return same and kept is not None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over `timestamp`, a dot and the body as it was sent."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()


def signature_fault(secret: str, timestamp: str, signed: str, body: bytes, now_ns: int) -> str:
    """Why a signature does not hold; empty when it does. `timestamp` is Unix seconds, `signed` hex, also as `sha256=hex`."""
    if not timestamp or not signed:
        return "this source signs: send X-Hoox-Timestamp (Unix seconds) and X-Hoox-Signature"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        return "X-Hoox-Timestamp: not Unix seconds; write it like 1767225600"
    right = signature(secret, timestamp, body)
    if not hmac.compare_digest(right.encode(), signed.removeprefix("sha256=").encode()):
        return "X-Hoox-Signature: not the HMAC-SHA256 of timestamp, dot and body with this source's secret"
    if abs(now_ns - int(timestamp) * 1_000_000_000) > SIGNATURE_WINDOW_NS:
        return "X-Hoox-Timestamp: more than 5 minutes from now; check the sender's clock"
    return ""


def masked(text: str) -> str:
    """`text` with all that may be a key, or the secret of one, made unreadable; a key's id stays."""
    return _MAY_BE_SECRET.sub(lambda found: f"hx_{found[1]}_***" if found[1] else "***", text)


def holds_key(text: str) -> bool:
    """Whether something in `text` looks like a key."""
    return _LOOKS_LIKE_A_KEY.search(text) is not None


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
