"""The registry of sources: HOOX_HOME/sources.json, what each source's keys are and what it may do.

Readable by its owner only, written whole or not at all, read again when it changed. A file that cannot be trusted or
understood stops all signals until it is repaired: half a registry would let some pass that were meant to be stopped.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from engine.core.state import KEEP_SIGNAL_ORDERS
from engine.intake.addresses import AddressList, BadAddress
from engine.intake.keys import KeyHash, matches, split
from engine.intake.limits import Rate
from engine.model.signal import Policy, SourceMode

FILE = "sources.json"
VERSION = 1
MOST_KEYS = 2
"""Valid keys a source may have at once: the new one and the one it replaces."""
LARGEST_FILE = 1 << 20
_UNREAD: tuple[int, ...] = ()
"""No file's stamp."""

_SECRET = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_POLICY_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(Policy))


class SourcesError(ValueError):
    """The registry, or a change to it, is refused; the message says where, what and the remedy."""


class UnreadError(SourcesError):
    """The registry could not be read at this moment; the next moment it may be."""


class Source(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who may send signals, and how they are treated."""

    name: str
    keys: tuple[KeyHash, ...] = ()
    """Newest first."""
    hmac: str = ""
    """Secret of its signatures; empty where it cannot sign."""
    policy: Policy = Policy()
    addresses: tuple[str, ...] = ()
    """IP addresses, networks or named lists it sends from; empty: anywhere."""
    rate: float = 20.0
    """Requests a second on the long run."""
    burst: int = 200
    """Requests at once."""
    weak_dedup: bool = False
    """Equal bodies without key and time count as one within 30 s of the last delivery; not where it signs."""
    max_age_s: int = 300
    """Older alerts, by their own `time`, are refused."""
    mail: tuple[str, ...] = ()
    """E-mail senders whose mails are its signals."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    sources: tuple[Source, ...]


class Member(NamedTuple):
    """A source with what is made of its texts once."""

    source: Source
    addresses: AddressList
    rate: Rate


class Verified(NamedTuple):
    """What a key proved. `name`: the source it names, also where its secret is wrong."""

    member: Member | None
    name: str


class Roster:
    """The sources of one reading of the file."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Raises SourcesError."""
        self.members: dict[str, Member] = {}
        self._by_key: dict[str, tuple[Member, KeyHash]] = {}
        for source in sources:
            check(source)
            if source.name in self.members:
                raise SourcesError(f"source {source.name!r} is there twice: remove one")
            member = Member(source, AddressList(source.addresses), Rate(source.rate, source.burst))
            self.members[source.name] = member
            for key in source.keys:
                if key.id in self._by_key:
                    raise SourcesError(f"source {source.name!r}: key {key.id} is there twice: rotate it")
                self._by_key[key.id] = (member, key)

    def verify(self, key: object) -> Verified:
        """Whose key this is. As slow for an unknown id as for a wrong secret."""
        parts = split(key)
        name, secret = parts or ("", "")
        member, kept = self._by_key.get(name, (None, None))
        right = matches(secret, kept)
        return Verified(member if right else None, member.source.name if member else "")

    def may_call(self, address: str, name: str) -> bool:
        """Whether a request from `address` can be any source's (of `name`, where there is such a source)."""
        asked = (self.members[name],) if name in self.members else self.members.values()
        return not asked or any(not member.addresses or address in member.addresses for member in asked)


class Registry:
    """The sources as the file has them now."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        # Kept as a text: it is looked at for every request, twice.
        self._name = str(self._path)
        self._seen: tuple[int, ...] | None = None
        self._roster: Roster | SourcesError = Roster(())

    def roster(self) -> Roster:
        """The sources; raises SourcesError while the file is not to be trusted or understood. No file: no sources."""
        stamp = _stamp(self._name)
        if stamp == _UNREAD or stamp != self._seen:
            try:
                self._roster = Roster(read(self._path))
            except UnreadError:
                # The file may be good and never change: what was short a moment ago must not stop signals for ever.
                self._seen = _UNREAD
                raise
            except SourcesError as error:
                self._roster = error
            self._seen = stamp
        if isinstance(self._roster, SourcesError):
            raise SourcesError(str(self._roster))
        return self._roster


def check(source: Source) -> None:
    """Raises SourcesError, naming the source, the value and the remedy."""

    def wrong(what: str) -> SourcesError:
        return SourcesError(f"source {source.name!r}: {what}")

    if not _NAME.fullmatch(source.name):
        raise wrong("a name is 1 to 32 of a-z, 0-9 and -, and does not begin with -")
    if len(source.keys) > MOST_KEYS:
        raise wrong(f"{len(source.keys)} keys; at most {MOST_KEYS} are valid at once, remove the oldest")
    for key in source.keys:
        if not (re.fullmatch(r"[0-9a-f]{8}", key.id) and re.fullmatch(r"[0-9a-f]{64}", key.hash)):
            raise wrong("a key's id or hash is damaged: rotate the key")
    if source.hmac and len(source.hmac) < 32:
        raise wrong("hmac: a secret has at least 32 characters; let `hoox source add` make it")
    if not (0 < source.rate <= 100_000 and 1 <= source.burst <= 100_000):
        raise wrong(f"rate {source.rate}, burst {source.burst}: the rate lies above 0, the burst is 1 or more")
    if source.max_age_s < 1:
        raise wrong(f"max_age_s: {source.max_age_s}; give seconds, 1 or more")
    try:
        AddressList(source.addresses)
    except BadAddress as error:
        raise wrong(str(error)) from None
    _check_policy(source.policy, wrong)


def _check_policy(policy: Policy, wrong: Any) -> None:
    if policy.max_notional is not None and not (policy.max_notional.is_finite() and policy.max_notional > 0):
        raise wrong(f"max_notional: {policy.max_notional}; write an amount above 0, or leave it out")
    if policy.orders_per_hour is not None and not 1 <= policy.orders_per_hour <= KEEP_SIGNAL_ORDERS:
        most = f"{policy.orders_per_hour}; write 1 to {KEEP_SIGNAL_ORDERS}, so many are counted, or leave it out"
        raise wrong(f"orders_per_hour: {most}")
    if policy.approve_s < 1 or policy.entry_patience_s < 1:
        raise wrong("approve_s and entry_patience_s are seconds, 1 or more")
    if not (policy.entry_drift.is_finite() and policy.entry_drift > 0):
        raise wrong(f"entry_drift: {policy.entry_drift}; write a fraction above 0, like 0.005")
    if not policy.retry_s or min(policy.retry_s) < 1:
        raise wrong("retry_s: write seconds, each 1 or more, like [30, 60, 300, 900]")
    for symbol in policy.symbols:
        if not re.fullmatch(r"[A-Z0-9]{2,30}", symbol):
            raise wrong(f"symbols: {symbol!r}; write them like BTCUSDT")


def holds_secret(source: Source, text: str) -> bool:
    """Whether what a sender wrote holds the bare secret of one of its keys, or what it signs with."""
    bare = any(matches(found, key) for found in _SECRET.findall(text) for key in source.keys)
    return bare or bool(source.hmac and source.hmac in text)


def needs_attention(source: Source) -> tuple[str, ...]:
    """What a person should know about a source that is allowed but unwise; for `hoox source list` and the doctor."""
    open_trader = source.policy.mode is SourceMode.TRADE and not source.addresses and not source.hmac
    not_weak = source.weak_dedup and bool(source.hmac)
    unlimited = source.policy.mode is SourceMode.TRADE and source.policy.max_notional is None
    return tuple(
        said
        for said, true in (
            ("trades from any address and unsigned: set addresses, or let it sign", open_trader),
            ("has no max_notional: the engine's own limits are all that holds it", unlimited),
            ("signs, so weak_dedup has no effect: let it send idempotencyKey or time", not_weak),
        )
        if true
    )


def read(path: Path) -> tuple[Source, ...]:
    """The file's sources, none where there is no file; raises SourcesError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unread(path, error) from None
    try:
        _check_owner(path, os.fstat(descriptor))
        raw = os.read(descriptor, LARGEST_FILE + 1)
    except OSError as error:
        raise _unread(path, error) from None
    finally:
        os.close(descriptor)
    if len(raw) > LARGEST_FILE:
        raise SourcesError(f"{path} is larger than {LARGEST_FILE} bytes: it is no registry of sources")
    return _decoded(path, raw)


def _unread(path: Path, error: OSError) -> UnreadError:
    return UnreadError(f"{path} cannot be read: {error.strerror}")


def _check_owner(path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise SourcesError(f"{path} is not a file: remove it")
    if info.st_uid != os.geteuid():
        raise SourcesError(f"{path} belongs to user {info.st_uid}, you are {os.geteuid()}: it must be yours")
    if info.st_mode & 0o077:
        raise SourcesError(f"{path} is open to others (mode {info.st_mode & 0o777:o}): chmod 600 {path}")


def _decoded(path: Path, raw: bytes) -> tuple[Source, ...]:
    try:
        file = msgspec.json.decode(raw, type=_File)
        _check_policy_fields(msgspec.json.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourcesError(f"{path}: {error}; repair it, or restore a copy") from None
    except SourcesError as error:
        raise SourcesError(f"{path}: {error}") from None
    if file.version != VERSION:
        raise SourcesError(f"{path} is of version {file.version}, this Hoox reads {VERSION}: use a newer one")
    return file.sources


def _check_policy_fields(file: Any) -> None:
    """A limit with a misspelt name must not be read as no limit."""
    for source in file["sources"]:
        for field in source.get("policy", ()):
            if field not in _POLICY_FIELDS:
                near = get_close_matches(field, _POLICY_FIELDS, n=1)
                meant = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_POLICY_FIELDS)}"
                raise SourcesError(f"source {source['name']!r}: {field!r} is not part of a policy{meant}")


def write(path: Path, sources: Iterable[Source]) -> None:
    """Replace the file, atomically and durably, mode 0600; raises SourcesError, OSError."""
    sources = tuple(sources)
    Roster(sources)
    raw = msgspec.json.format(msgspec.json.encode(_File(VERSION, sources)), indent=2)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw + b"\n")
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def changing(path: Path) -> Iterator[dict[str, Source]]:
    """The sources by name, to be changed in place and written at the end; two who change at once wait for each other."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = {source.name: source for source in read(path)}
        yield sources
        write(path, sources.values())
    finally:
        os.close(lock)


def _stamp(path: str) -> tuple[int, ...] | None:
    """Changes with the file: with what it holds, whose it is, who may read it. None where there is no file."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError:
        return _UNREAD
    return (info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_size, info.st_mode, info.st_uid)
