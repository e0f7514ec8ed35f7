"""Exactly once: the signal's key, whether it was recorded before, and its commit (semantics 9). Fails closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from engine.clock import Clock
from engine.intake.alarms import Alarms
from engine.intake.answers import Refused
from engine.intake.identity import Recent, signal_id, single_key, timed_key
from engine.intake.port import Arrival, IntakePort, Known, Outcome
from engine.intake.schema import DERIVED, Draft
from engine.intake.sources import Source, holds_secret
from engine.intake.walk import Walk
from engine.model.money import ZERO
from engine.model.signal import Signal, SourceMode

log = logging.getLogger(__name__)

TAKE_S = 2.5
"""Longest wait for a commit: TradingView gives up after 3 s, and sends again."""
AHEAD_NS = 60 * 1_000_000_000
"""How far an alert's time may lie in the future."""
MOST_AT_ONCE = 1_024
_BECOME_ORDERS = frozenset({SourceMode.TRADE, SourceMode.APPROVE})
"""What waits for a person would be a second row to approve."""


class Recorded(NamedTuple):
    """What is durable of a signal; `repeated`: it was there before this delivery."""

    outcome: Outcome
    repeated: bool


class _Held(NamedTuple):
    """A key whose commit is under way."""

    body_hash: str
    task: asyncio.Task[Outcome]


class Recorder:
    """Records each signal once, however often and however fast it is delivered."""

    def __init__(self, port: IntakePort, alarms: Alarms, clock: Clock, wall: Callable[[], int]) -> None:
        self._port = port
        self._alarms = alarms
        self._clock = clock
        self._wall = wall
        self._recent = Recent()
        self._held: dict[tuple[str, str], _Held] = {}
        self._singles = 0

    async def record(
        self,
        source: Source,
        draft: Draft,
        sent_key: str,
        raw: Callable[[], str],
        path: str,
        walk: Walk,
        arrived_ns: int | None = None,
    ) -> Recorded:
        """Raises Refused.

        `sent_key` is the sender's own, empty where there is none; `raw` gives the text for the record. `arrived_ns`: when a
        server took it, which is its age where it does not say when it was written. No part of what it is: it may arrive again.
        """
        body_hash = draft.body_hash()
        key = self._key(source, draft, sent_key, body_hash)
        slot = (source.name, key)
        held = self._held.get(slot)
        if held:
            self._same(slot, body_hash, held.body_hash)
            return Recorded(await _settled(held.task), True)
        known = self._known(source.name, key)
        if known:
            self._same(slot, body_hash, known.body_hash)
            return Recorded(known.outcome, True)
        written_ns = arrived_ns if draft.time is None else draft.time
        # After the look-up: a late resend of what was recorded gets its first answer, however old it is.
        self._check_fresh(source, written_ns)
        walk.passed("freshness")
        walk.passed("dedup")
        walk.stage("dedup")
        if len(self._held) >= MOST_AT_ONCE:
            raise Refused("BUSY", "too many signals at once; send it again", 1)
        signal = _signal(source.name, key, body_hash, draft, path, written_ns)
        arrival = Arrival(signal, source.policy, raw(), tuple(walk.checks), dict(walk.stages))
        # A task of its own: the commit goes on when the sender hangs up, and every delivery meanwhile shares it.
        task = asyncio.ensure_future(self._port.take(arrival))
        self._held[slot] = _Held(body_hash, task)
        task.add_done_callback(lambda task: self._let_go(slot, task))
        return Recorded(await _settled(task), False)

    def probe(self, source: Source, draft: Draft, sent_key: str, walk: Walk) -> None:
        """Go the way up to the commit, and raise Refused where a signal would. Nothing is recorded, and nobody told."""
        body_hash = draft.body_hash()
        self._check_key(source, draft, sent_key)
        timed = timed_key(body_hash, draft.time) if draft.time is not None else f"{DERIVED}probe"
        known = self._known(source.name, sent_key or timed)
        if known is None:
            self._check_fresh(source, draft.time)
        elif known.body_hash != body_hash:
            raise _reused(sent_key)
        walk.passed("freshness")
        walk.passed("dedup")
        walk.stage("dedup")

    def _let_go(self, slot: tuple[str, str], task: asyncio.Task[Outcome]) -> None:
        del self._held[slot]
        # Looked at here too: nobody may be waiting any more, and asyncio would log the failure with all it holds.
        if not task.cancelled() and task.exception():
            log.error("the commit of signal %s failed", signal_id(*slot))

    def _known(self, source: str, key: str) -> Known | None:
        """What was recorded under a key; raises Refused when that cannot be told."""
        try:
            return self._port.find(source, key)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be recorded; no trace, it may hold a body
            raise _not_recorded(error) from None

    def _check_fresh(self, source: Source, written_ns: int | None) -> None:
        """Raises Refused when the alert's own time is too old, or to come."""
        if written_ns is None:
            return
        age_ns = self._wall() - written_ns
        if age_ns > source.max_age_s * 1_000_000_000:
            raise Refused(
                "STALE",
                f"time: the alert is {age_ns // 1_000_000_000} s old, source {source.name} takes {source.max_age_s} s; "
                "send the time it fired ({{timenow}} at TradingView, not the bar's {{time}}), or raise max_age_s",
            )
        if age_ns < -AHEAD_NS:
            raise Refused(
                "STALE", f"time: {-age_ns // 1_000_000_000} s in the future; check the sender's clock and zone"
            )

    def _check_key(self, source: Source, draft: Draft, sent_key: str) -> None:
        """Raises Refused where a resend could not be told from a new signal, and could become an order; or for a secret."""
        if holds_secret(source, sent_key):
            raise Refused(
                "BAD_FIELD", "idempotencyKey: is a secret of this source; keys of signals are recorded, choose another"
            )
        if sent_key or draft.time is not None or _is_weak(source) or source.policy.mode not in _BECOME_ORDERS:
            return
        if source.hmac:
            why = "whoever gets hold of a signed request could send it again"
            remedy = "send one of them in the body (weak_dedup has no effect on a source that signs)"
        else:
            why = "a resend could not be told from a new signal"
            remedy = 'send one of them ("time":"{{timenow}}" at TradingView), or set weak_dedup for the source'
        raise Refused("NOT_UNIQUE", f"idempotencyKey and time: neither is there, so {why}; {remedy}")

    def _key(self, source: Source, draft: Draft, sent_key: str, body_hash: str) -> str:
        self._check_key(source, draft, sent_key)
        if sent_key:
            return sent_key
        if draft.time is not None:
            return timed_key(body_hash, draft.time)
        now_ns = self._clock.now_ns()
        if _is_weak(source):
            return self._recent.key(source.name, body_hash, now_ns, lambda: self._before(source.name, body_hash))
        self._singles += 1
        return single_key(body_hash, now_ns, self._singles)

    def _before(self, source: str, body_hash: str) -> Known | None:
        try:
            return self._port.find_body(source, body_hash)
        except Exception as error:  # noqa: BLE001 - as above
            raise _not_recorded(error) from None

    def _same(self, slot: tuple[str, str], body_hash: str, first_hash: str) -> None:
        if body_hash != first_hash:
            source, key = slot
            self._alarms.tell(
                "KEY_REUSED",
                f"source {source} sent idempotency key {key} again with another body; no order was made",
                self._clock.now_ns(),
            )
            raise _reused(key)


def _reused(key: str) -> Refused:
    return Refused("KEY_REUSED", f"idempotencyKey: {key} was used for another body; use a new key for every signal")


def _is_weak(source: Source) -> bool:
    """Whether equal bodies count as one for a while. Not where a source signs: that would be a way to replay a request."""
    return source.weak_dedup and not source.hmac


async def _settled(task: asyncio.Task[Outcome]) -> Outcome:
    """What a commit came to; raises Refused when it failed or takes too long. The commit itself is never cut off."""
    await asyncio.wait({task}, timeout=TAKE_S)
    if not task.done():
        raise Refused("NOT_RECORDED", "the signal is not durable yet; send it again, it counts once", 5)
    if task.cancelled():
        raise Refused("NOT_RECORDED", "the engine is stopping; send the signal again", 5)
    error = task.exception()
    if error is not None:
        raise _not_recorded(error)
    return task.result()


def _not_recorded(error: BaseException) -> Refused:
    log.error("a signal was not recorded: %s", type(error).__name__)
    return Refused("NOT_RECORDED", "the signal could not be made durable; send it again, it counts once", 5)


def _signal(source: str, key: str, body_hash: str, draft: Draft, path: str, written_ns: int | None) -> Signal:
    return Signal(
        id=signal_id(source, key),
        source=source,
        key=key,
        body_hash=body_hash,
        exchange=draft.exchange,
        action=draft.action,
        symbol=draft.symbol,
        quantity=ZERO if draft.quantity is None else draft.quantity,
        unit=draft.quantity_unit,
        leverage=draft.leverage,
        type=draft.order_type,
        price=draft.price,
        take_profit=draft.take_profit,
        stop_loss=draft.stop_loss,
        test=draft.test,
        alert_ns=written_ns,
        path=path,
    )
