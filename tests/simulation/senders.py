"""Senders of signals: a few sources with policies of their own, whose alerts take the engine's real way in, and come again.

An alert is what TradingView makes of it (semantics 9): without a 200 it is sent again, 5 s apart, four times at most; a sender that did
not hear the answer does the same. Some come once more for no reason, some keys come back with another body.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.intake.answers import Answer
from engine.intake.keys import KeyHash
from engine.intake.pipeline import Pipeline
from engine.intake.sources import FILE, Source, write
from engine.intake.walk import Request
from engine.model.signal import Opposite, Policy, SameSide, SignalAction, SourceMode
from engine.sim.faults import child
from tests.simulation.books import Books

D = Decimal
ADDRESS = "127.0.0.1"
DELIVERIES = 4
AGAIN_S = 5.0
LAST = "last"
"""The source that closes what is open when a seed ends: it may do everything."""
EXPECTED = frozenset({None, "STALE", "SOURCE_OFF", "KEY_REUSED", "KILL_SWITCH", "NOT_RECORDED", "BUSY", "RATE", "SOURCE_RATE"})  # fmt: skip
"""Codes of the intake that an honest sender may meet; others of an answer with a signal are its verdict's."""
Check = Callable[[int, bool, str], None]


class Alert:
    """One alert: what is sent, and the signal that it became."""

    def __init__(self, source: Source, fields: dict[str, Any]) -> None:
        self.source = source
        self.fields = fields
        self.body = json.dumps(fields | {"apiKey": _key_of(source.name)}).encode()
        self.signal = ""

    def rivals(self, other: Alert) -> bool:
        """Whether another alert has the same key and another body."""
        ours, theirs = self.fields, other.fields
        key = "idempotencyKey"
        return self.source is other.source and key in ours and ours[key] == theirs.get(key) and ours != theirs


class Senders:
    """Everybody who sends in one seed; outlives the engines."""

    def __init__(self, seed: int, count: int, home: Path, books: Callable[[], Books], check: Check) -> None:
        """Register `count` sources, and the last, in `home`."""
        draw = child(seed, "sources")
        self.sources = [_source(f"s{n}", _policy(draw)) for n in range(count)]
        self.last = _source(LAST, Policy(SourceMode.TRADE, SameSide.ADD, Opposite.REVERSE, retry_s=(1, 5)))
        home.mkdir()
        write(home / FILE, [*self.sources, self.last])
        self.home = home
        self.heard: dict[str, None] = {}
        """Signals whose sender was told that they are durable."""
        self.alerts: list[Alert] = []
        self._books = books
        self._durable = 0
        self._check = check
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Somebody still sends."""
        return bool(self._sending)

    def alert(self, draw: random.Random, price: Decimal, now_ms: int, pipeline: Callable[[], Intake | None]) -> str:
        """Something happens that a source tells; returns what."""
        alert = self._draw(draw, price, now_ms)
        self.alerts.append(alert)
        self._begin(self._insist(alert, draw, pipeline))
        if draw.random() < 0.3:
            self._begin(self._insist(alert, draw, pipeline, draw.choice((0.0, 0.001, 1.0, 8.0))))
        return f"{alert.source.name} ({alert.source.policy.mode}) {alert.fields}"

    def close(self, key: str, pipeline: Callable[[], Intake | None]) -> None:
        """The last source closes what is open."""
        fields = {"exchange": "paper", "action": "CLOSE", "symbol": "BTCUSDT", "idempotencyKey": key}
        self._begin(self._insist(Alert(self.last, fields), random.Random(0), pipeline))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _insist(
        self, alert: Alert, draw: random.Random, pipeline: Callable[[], Intake | None], after_s: float = 0.0
    ) -> None:
        losses = [draw.random() < 0.15 for _ in range(DELIVERIES)]
        await asyncio.sleep(after_s)
        for lost in losses:
            intake = pipeline()
            answer = await intake.pipeline.webhook(Request(address=ADDRESS, body=alert.body)) if intake else None
            if answer is not None and intake is not None and intake.alive():
                self._judge(alert, answer, intake.durable())
                if not lost and answer.status < 500:
                    return
            await asyncio.sleep(AGAIN_S)

    def _draw(self, draw: random.Random, price: Decimal, now_ms: int) -> Alert:
        if self.alerts and draw.random() < 0.1:
            before = draw.choice(self.alerts[-4:])
            changed = {"quantity": str(D(draw.randint(1, 99)) / 1000)} if draw.random() < 0.6 else {}
            return Alert(before.source, before.fields | changed)
        source = draw.choice(self.sources)
        action = draw.choice((*SignalAction, SignalAction.LONG, SignalAction.SHORT, SignalAction.CLOSE))
        fields: dict[str, Any] = {
            "exchange": draw.choice(("paper", "binance")),
            "action": str(action),
            "symbol": draw.choice(("BTCUSDT", "BTCUSDT", "btc/usdt", "BINANCE:BTCUSDT.P", "BTC-USDT", "ETHUSDT")),
            "quantity": str(D(draw.choice((1, 10, 50, 50, 300, 1500))) / 1000),
        }
        fields |= {"time": now_ms} if draw.random() < 0.3 else {"idempotencyKey": f"k{draw.randrange(10**6)}"}
        sign = {SignalAction.LONG: 1, SignalAction.SHORT: -1}.get(action, 0)
        if sign:
            self._shape(fields, draw, price, sign)
        if draw.random() < 0.05:
            fields["test"] = True
        return Alert(source, fields)

    @staticmethod
    def _shape(fields: dict[str, Any], draw: random.Random, price: Decimal, sign: int) -> None:
        if draw.random() < 0.25:
            fields |= {"orderType": "LIMIT", "price": str(price + D(draw.randint(-300, 300)) / 10)}
        elif draw.random() < 0.15:
            fields |= {"quantityUnit": "quote", "quantity": str(draw.randint(10, 900))}
        if draw.random() < 0.2:
            fields["leverage"] = draw.choice((1, 5, 50, 200))
        offset = D(draw.randint(50, 900)) / 10
        if draw.random() < 0.3:
            fields["stopLoss"] = str(price - sign * offset)
        if draw.random() < 0.3:
            fields["takeProfit"] = str(price + sign * offset)

    # --- What the sender is told ------------------------------------------------------------------------

    def _judge(self, alert: Alert, answer: Answer, durable: int) -> None:
        """10: what is answered is on the disk, whole; 3: one alert is one signal, and a key with another body is refused."""
        check, name, known = self._check, alert.source.name, self._books().signals
        said = f"{name} was told {answer.status} {answer.code}"
        if answer.result is None:
            check(0, answer.code in EXPECTED, f"{said}: {answer.error}")
            if answer.code == "KEY_REUSED":
                told = known.by_key.get((name, alert.fields.get("idempotencyKey", "")))
                check(3, told is None or not _same(alert, told.signal.quantity), f"{said} of what it did send")
                check(3, any(map(alert.rivals, self.alerts)), f"{said}, and nobody sent another body")
            return
        check(10, alert.source.policy.mode is not SourceMode.OFF, f"{said}, and is off")
        signal = answer.result["signalId"]
        told = known.by_id.get(signal)
        check(10, told is not None and told.seq <= durable, f"{said} of signal {signal}, which is not on the disk")
        if told is not None:
            check(3, _same(alert, told.signal.quantity), f"{said} of {told.signal.quantity}, sent was {alert.fields}")
        check(3, alert.signal in ("", signal), f"{said} of signal {signal}, which was {alert.signal} before")
        alert.signal = signal
        self.heard[signal] = None


class Intake:
    """The way in to one life of the engine."""

    def __init__(self, pipeline: Pipeline, alive: Callable[[], bool], durable: Callable[[], int]) -> None:
        self.pipeline = pipeline
        self.alive = alive
        self.durable = durable


def _same(alert: Alert, quantity: Decimal) -> bool:
    return D(alert.fields.get("quantity", 0)) == quantity


def _source(name: str, policy: Policy) -> Source:
    return Source(name, (KeyHash(*_parts(name), 0),), policy=policy)


def _secret(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def _key_of(name: str) -> str:
    return f"hx_{_parts(name)[0]}_{_secret(name)}"


def _parts(name: str) -> tuple[str, str]:
    """Id and hash of a source's key: not secret here, and the same in every run."""
    return sha256(f"id of {name}".encode()).hexdigest()[:8], sha256(_secret(name).encode()).hexdigest()


def _policy(draw: random.Random) -> Policy:
    trade, approve = SourceMode.TRADE, SourceMode.APPROVE
    return Policy(
        mode=draw.choice((trade, trade, trade, trade, approve, approve, SourceMode.LOG, SourceMode.OFF)),
        same_side=draw.choice((*SameSide, SameSide.ADD)),
        opposite=draw.choice((*Opposite, Opposite.REVERSE)),
        actions=draw.choice(((), (), (), (SignalAction.LONG, SignalAction.CLOSE))),
        max_notional=draw.choice((None, None, D(5000))),
        orders_per_hour=draw.choice((None, None, 2)),
        approve_s=draw.choice((5, 30, 300)),
        entry_patience_s=draw.choice((5, 60)),
        entry_drift=draw.choice((D("0.0005"), D("0.005"))),
        retry_s=draw.choice(((1, 5), (3,), (30, 60))),
    )
