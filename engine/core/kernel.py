"""What every rule of the core works on: the journal, the markets, the timers. No rule lives here."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum

from engine.core.journal import Journal
from engine.core.line import Line
from engine.core.market import Market
from engine.core.state import KEEP_ENDED, State, pair_key
from engine.model.instrument import Instrument, InstrumentId
from engine.model.market import Top
from engine.model.money import ZERO, round_cost
from engine.model.order import Order, OrderTerms

_DRAWS = 0xFFFFFFFF
SET_BACK_NS = 1_000_000_000
"""An input this much earlier than the last says that the clock was set back; less is mere disorder."""

FIRST_NS, MOST_NS = 1_000_000_000, 32_000_000_000
"""How long an exit waits after the venue rejected one, and after it rejected many."""
KEEP_HEARD = 4 * KEEP_ENDED
"""More orders than this are not kept in `heard` once they ended."""
REFUSED = "|refused"
"""Ends the key in `heard` of when something was refused last."""


class Due(IntEnum):
    """What a timer brings; at the same instant funding comes first (semantics 3), expiry before matching (semantics 6)."""

    FUNDING = 0
    EXPIRE = 1
    CANCEL = 2
    ARRIVE = 3
    FLATTEN = 4
    REARM = 5
    SIGNAL = 6


_DATED = frozenset({Due.FUNDING, Due.EXPIRE, Due.SIGNAL})
"""Timers of a date, not of a delay: a clock set back makes them wait longer."""


class Kernel:
    """Recorded state behind its journal, volatile markets, and timers in order of time."""

    __slots__ = (
        "_timers",
        "adopted",
        "clock",
        "exits",
        "fitting",
        "halted",
        "heard",
        "journal",
        "lines",
        "markets",
        "probe",
        "refused",
        "rested",
        "siblings",
        "state",
        "stood",
        "taken_over",
        "timers_made",
        "unprotected",
    )

    def __init__(self, state: State) -> None:
        self.state = state
        self.journal = Journal(state)
        self.markets: dict[InstrumentId, Market] = {i.id: Market(i) for i in state.instruments.values()}
        self._timers: list[tuple[int, Due, int, str]] = []
        self.clock = 0
        """What the inputs' clock shows, ns: what timers and ages go by. It may be set back, recorded time never is."""
        self.timers_made = 0
        self.exits: dict[tuple[str, InstrumentId], dict[str, str]] = {}
        """Reduce-only order ids, and whose bracket they are of, by (account, instrument), oldest first.

        Ended ones are dropped when looked at.
        """
        self.siblings: dict[tuple[str, InstrumentId, str], dict[str, None]] = {}
        """The same ids by (account, instrument, parent)."""
        self.fitting: set[tuple[str, InstrumentId]] = set()
        """Where the exits were seen to fit into the position together, and none has grown since: (account, instrument)."""
        self.lines: dict[tuple[str, InstrumentId], Line] = {}
        """Signals that take turns in (account, instrument); those that are through are dropped."""
        self.heard: dict[str, int] = {}
        """When a venue last told something new, by the clock: of an order by id, of a position by account|instrument.

        Also when it last refused something, was found to differ, or a flattening began, by keys that end in |and a word.
        """
        self.refused: dict[str, int] = {}
        """How many exits a venue would not carry out since the position last changed, by account|instrument.

        And how many cancels of an order, by its id.
        """
        self.unprotected: dict[str, set[str]] = {}
        """What protects by account|instrument and came to nothing, as a person was told since the position last changed."""
        self.probe: Callable[[str, str], None] = _no_probe
        """Told which stage a request has passed, by its id, so that whoever holds a clock can time it."""
        self.stood: dict[str, int] = {}
        """When an account's venue was last asked for all that it has, and said it: by account, since this began."""
        self.adopted: dict[tuple[str, str], str] = {}
        """Orders of strangers, by (account, what the venue knows them by)."""
        self.taken_over: dict[str, int] = {}
        """Fills of strangers up to this time, ns, are in the position that was taken over from the venue: by account|instrument."""
        self.rested: tuple[int, dict[str, Decimal]] = (0, {})
        """When inputs last came again after a rest, ns, and what was held through it: position id -> signed size."""
        self.halted = ""
        """Why entries are refused by the engine itself (disk, ledger); empty when they are not."""

    @property
    def now(self) -> int:
        """Time that events of this moment are recorded with, ns."""
        return self.journal.now

    def note_exit(self, terms: OrderTerms) -> None:
        """A reduce-only order is live from now on."""
        pair = (terms.account, terms.instrument)
        self.exits.setdefault(pair, {})[terms.id] = terms.parent
        self.siblings.setdefault((*pair, terms.parent), {})[terms.id] = None
        self.fitting.discard(pair)

    def market(self, instrument: InstrumentId) -> Market:
        """The market of a known instrument."""
        return self.markets[instrument]

    def instrument(self, instrument: InstrumentId) -> Instrument:
        """A known instrument."""
        return self.state.instruments[instrument]

    def top(self, instrument: InstrumentId) -> Top | None:
        """The market at this decision, for the event that records it."""
        market = self.markets.get(instrument)
        return market.top(self.clock) if market is not None else None

    def at(self, due_ns: int, kind: Due, order: str) -> None:
        """Set a timer for an order, a signal, the account of a flattening, or the instrument of a funding."""
        self.timers_made += 1
        heapq.heappush(self._timers, (due_ns, kind, self.timers_made, order))

    def after(self, delay_ns: int, kind: Due, order: str) -> None:
        """Set a timer that rings when this much time has passed."""
        self.at(self.clock + delay_ns, kind, order)

    def hear(self, time_ns: int) -> int:
        """Follow the inputs' clock; where it was set back, what is under way still takes only the time it had left."""
        back = self.clock - time_ns
        if back > SET_BACK_NS:
            self._timers = [
                (due - (0 if kind in _DATED else back), kind, made, order) for due, kind, made, order in self._timers
            ]
            heapq.heapify(self._timers)
            self.heard = {key: at - back for key, at in self.heard.items()}
            self.stood = {key: at - back for key, at in self.stood.items()}
            self.rested = (self.rested[0] - back, self.rested[1])
            self.clock = time_ns
        elif back < 0:
            self.clock = time_ns
        return self.clock

    def told(self, order: Order) -> None:
        """Note that something new was heard of an order and its position now."""
        terms = order.terms
        if len(self.heard) > KEEP_HEARD:
            self._forget_ended()
        self.heard[terms.id] = self.heard[pair_key(terms.account, terms.instrument)] = self.clock

    def _forget_ended(self) -> None:
        """Of orders that ended nothing is awaited, and nothing is cancelled again."""
        live = self.state.orders
        self.refused = {what: times for what, times in self.refused.items() if "|" in what or what in live}
        self.heard = {
            key: at for key, at in self.heard.items() if "|" in (what := key.removesuffix(REFUSED)) or what in live
        }

    def refuse(self, what: str) -> None:
        """Note that a venue rejected an exit of account|instrument now or ended it with nothing filled, or an order's cancel."""
        self.refused[what] = self.refused.get(what, 0) + 1
        self.heard[what + REFUSED] = self.clock

    def moved(self, pair: str) -> None:
        """The position of account|instrument changed: what a venue refused before is no measure any more."""
        self.refused.pop(pair, None)
        self.unprotected.pop(pair, None)

    def patience(self, what: str) -> int:
        """How long the next exit or cancel that the engine sends by itself waits, ns: longer with each one refused.

        It rejects them where it has no such position; that is found only while none is on its way.
        """
        refused = self.refused.get(what, 0)
        if not refused:
            return 0
        since = self.clock - self.heard[what + REFUSED]
        return max(0, min(FIRST_NS << (refused - 1), MOST_NS) - since)

    def next_due(self) -> int | None:
        """When the next timer rings, ns; None without timers."""
        return self._timers[0][0] if self._timers else None

    def pop_due(self, now_ns: int) -> tuple[int, Due, str] | None:
        """Take the next timer not after now."""
        if not self._timers or self._timers[0][0] > now_ns:
            return None
        due_ns, kind, _, order = heapq.heappop(self._timers)
        return due_ns, kind, order

    def latency(self, instrument: InstrumentId, order: str) -> int:
        """Time an order or cancel takes to the paper venue, ns: from half to one and a half of the profile's median.

        Drawn from (seed, order id), so a replay draws the same.
        """
        state = self.state
        median = state.instruments[instrument].profile.entry_latency_ns
        drawn = zlib.crc32(order.encode(), state.seed & _DRAWS)
        return median // 2 + median * drawn // _DRAWS

    def leverage(self, account: str, instrument: InstrumentId) -> int:
        """Leverage set for an instrument; 1 until somebody sets it."""
        return self.state.accounts[account].leverage.get(instrument, 1)

    def unrealised(self, account: str, asset: str) -> Decimal | None:
        """Unrealised PnL of an account's positions in one asset; None while a mark is missing."""
        total = ZERO
        for position in self.state.positions.values():
            if position.account != account or self.instrument(position.instrument).settle_asset != asset:
                continue
            mark = self.market(position.instrument).value_price(position.size > 0)
            if mark is None:
                return None
            total += position.unrealised(mark)
        return total

    def unpriced(self, account: str, asset: str) -> list[str]:
        """Symbols of an account's positions in one asset that have no mark."""
        found = []
        for position in self.state.positions.values():
            market = self.market(position.instrument)
            missing = market.value_price(position.size > 0) is None
            if missing and position.account == account and market.instrument.settle_asset == asset:
                found.append(market.instrument.symbol)
        return found

    def equity(self, account: str, asset: str) -> Decimal | None:
        """Wallet plus unrealised PnL; None while a mark is missing."""
        unrealised = self.unrealised(account, asset)
        return None if unrealised is None else self.state.accounts[account].balances.get(asset, ZERO) + unrealised


def _no_probe(stage: str, request_id: str) -> None:
    """Nobody measures."""


def share(value: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The part of an amount of money, to 8 places; all of it when part is the whole."""
    return value if part == whole else round_cost(value * part / whole) if whole else ZERO
