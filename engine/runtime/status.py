"""What every screen's header says, and the counters behind it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import msgspec

from engine.clock import mono_ns
from engine.core.kernel import Kernel
from engine.core.market import Market
from engine.model.instrument import Instrument
from engine.model.market import StreamState
from engine.runtime.config import EngineConfig
from engine.runtime.keeper import Keeper
from engine.views import InstrumentView, StatusView, StreamView
from engine.views import format as fmt
from engine.views.signals import approvals
from engine.views.tables import day_pnl, differing, unknown_trails

AGES = 20_000
"""Tick ages kept for percentiles."""
DROPPED = ("broken", "dropped_crossed", "dropped_absurd", "dropped_late")


class StatusSource:
    """Counts ticks, knows the session, builds StatusView."""

    def __init__(self, config: EngineConfig, feed_identity: str, feed_stats: Callable[[], dict[str, int]]) -> None:
        self._config = config
        self._feed = feed_identity
        self._feed_stats = feed_stats
        self.asset = config.asset
        """What the account is funded in."""
        self.carried: frozenset[str] = frozenset()
        """Instruments the feed brings."""
        self.recovery = ""
        self.recording = ""
        self.webhook = ""
        """Where signals are taken."""
        self.mailbox = False
        """Signals are read from a mailbox."""
        self.senders: Callable[[], Mapping[str, Any]] = dict
        """What came from whom: source -> its tally."""
        self.paused = False
        self.ended_ns = 0
        """When the recording came to its end."""
        self.ticks = 0
        self.ages: deque[int] = deque(maxlen=AGES)
        """Ns from when a tick was due to when it was handled; only where the feed knows."""
        self._hand = ""
        self._armed = False
        self._screens = 0
        self._counted = 0
        self._counted_ns = mono_ns()
        self._rate = 0

    def session(self, hand: str, armed: bool, screens: int) -> None:
        """The hand, arm or the number of screens changed."""
        self._hand, self._armed, self._screens = hand, armed, screens

    def view(self, keeper: Keeper, now_ns: int) -> StatusView:
        """The status at this moment."""
        desk, state = keeper.desk, keeper.desk.state
        asset = self.asset
        account = desk.account
        equity = desk.kernel.equity(account, asset) if account in state.accounts else None
        day = day_pnl(desk, asset, equity)
        return StatusView(
            time_ns=now_ns,
            env=self._config.env,
            feed=self._feed,
            prices=prices_label(self._config.env, self._config.feed),
            mode=keeper.mode,
            mode_reason=keeper.mode_reason,
            kill=state.kill,
            kill_reason=state.kill_reason,
            seq=state.seq,
            durable_seq=keeper.durable_seq,
            epoch=state.epoch,
            account=account,
            asset=asset,
            equity=fmt.money(equity),
            day_pnl=fmt.signed(day),
            day_pnl_sign=fmt.sign(day),
            hand=self._hand,
            armed=self._armed,
            screens=self._screens,
            ticks_per_second=self._ticks_per_second(),
            dropped=sum(self._feed_stats().get(name, 0) for name in DROPPED),
            ledger=self._config.ledger.name,
            recovery=self.recovery,
            recording=self.recording,
            webhook=self.webhook,
            mailbox=self.mailbox,
            rehearsal=self._config.rehearse,
            ended_ns=self.ended_ns,
            paused=self.paused,
            open_positions=len(state.positions),
            open_orders=len(state.orders),
            instruments=tuple(
                _instrument(desk.kernel, account, market.instrument) for market in self._shown(desk.kernel)
            ),
            streams=_streams(self._shown(desk.kernel), now_ns),
            unknown=unknown_trails(desk.kernel),
            differs=differing(desk.kernel),
            approvals=approvals(state),
            waiting=sum(record.waits is not None for record in state.signals.values()),
        )

    def _shown(self, kernel: Kernel) -> list[Market]:
        """Markets the feed carries, and those it does not but where something is open."""
        state = kernel.state
        held = {position.instrument for position in state.positions.values()}
        return [
            market
            for name, market in kernel.markets.items()
            if name in self.carried or name in held or market.triggers.armed or market.matcher.order_ids()
        ]

    def counters(self, keeper: Keeper, last: int = AGES) -> dict[str, Any]:
        """Numbers for commands and benchmarks: ages of the `last` ticks, in microseconds."""
        ages = sorted(islice(reversed(self.ages), last))
        return {
            "ticks": self.ticks,
            "seq": keeper.desk.state.seq,
            "durable_seq": keeper.durable_seq,
            "feed": self._feed_stats(),
            "senders": msgspec.to_builtins(self.senders()),
            "tick_age_us": {
                f"p{p}": ages[min(len(ages) - 1, len(ages) * p // 100)] / 1_000 if ages else None for p in (50, 95, 99)
            },
        }

    def _ticks_per_second(self) -> int:
        now = mono_ns()
        passed = now - self._counted_ns
        if passed >= 1_000_000_000:
            self._rate = round((self.ticks - self._counted) * 1e9 / passed)
            self._counted, self._counted_ns = self.ticks, now
        return self._rate


def prices_label(env: str, feed: str) -> str:
    """What the prices are, in words no screen may leave out."""
    kind = feed.partition(":")[0]
    if kind == "simulated":
        return "SIMULATED PRICES"
    if kind == "recording":
        return "RECORDED PRICES"
    return f"{kind.upper()} PRICES" + (", PAPER FILLS" if env == "paper" else "")


def _instrument(kernel: Kernel, account: str, instrument: Instrument) -> InstrumentView:
    leverage = kernel.leverage(account, instrument.id) if account in kernel.state.accounts else 1
    return InstrumentView(
        id=instrument.id,
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        tick=f"{instrument.tick:f}",
        step=f"{instrument.step:f}",
        min_size=f"{instrument.min_size:f}",
        min_notional=f"{instrument.min_notional:f}",
        max_leverage=instrument.max_leverage,
        leverage=leverage,
        price_places=fmt.places(instrument.tick),
        size_places=fmt.places(instrument.step),
    )


def _streams(markets: list[Market], now_ns: int) -> tuple[StreamView, ...]:
    rows: list[StreamView] = []
    for market in markets:
        instrument, quote = market.instrument.id, market.quote
        age = None if quote is None else max(0, now_ns - quote.time_ns)
        streams = market.streams or {"quote": StreamState.LIVE if quote is not None else StreamState.CONNECTING}
        rows.extend(StreamView(instrument, stream, state, age) for stream, state in streams.items())
    return tuple(rows)
