"""What can go wrong, how likely each of it is, and how often it was made to. Every kind has dice of its own.

So one kind can be left out of a failing run without changing what the others do.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum


class Fault(StrEnum):
    """Every kind of fault a simulated world knows."""

    # Requests (network.py)
    CONNECT_REFUSED = "connect_refused"
    DNS_FAILURE = "dns_failure"
    HANG_BEFORE_SEND = "hang_before_send"
    """No connection is made before the time is up: provably not sent."""
    REQUEST_LOST = "request_lost"
    """It left, never arrived, and nobody says so."""
    RESET_BEFORE_DELIVERY = "reset_before_delivery"
    """The connection breaks after the request left and before it arrived."""
    LATE_DELIVERY = "late_delivery"
    """It arrives after the client has given up."""
    SLOW_REQUEST = "slow_request"
    """Others overtake it."""
    HANG_AFTER_SEND = "hang_after_send"
    ACCEPTED_NO_ANSWER = "accepted_no_answer"
    """It is carried out, then the connection breaks."""
    ANSWER_AFTER_TIMEOUT = "answer_after_timeout"
    TRUNCATED_JSON = "truncated_json"
    GARBAGE_ANSWER = "garbage_answer"
    """200 and a page of some proxy; carried out or not."""
    HTTP_5XX_BEFORE = "http_5xx_before"
    HTTP_5XX_AFTER = "http_5xx_after"
    HTTP_403_PAGE = "http_403_page"
    """A firewall's page, without a code of the venue."""
    HTTP_429 = "http_429"
    HTTP_429_NO_WAIT = "http_429_no_wait"
    HTTP_418 = "http_418"
    OUTAGE = "outage"
    """Nothing connects for minutes, and streams break."""
    # Streams (network.py)
    STREAM_DROP = "stream_drop"
    STREAM_LOSS = "stream_loss"
    """A message is missing, and the stream goes on."""
    STREAM_DUPLICATE = "stream_duplicate"
    STREAM_REORDER = "stream_reorder"
    STREAM_DELAY = "stream_delay"
    STREAM_SILENT = "stream_silent"
    """The connection stays up and says nothing more."""
    STREAM_GARBAGE = "stream_garbage"
    # The venue's own doing (exchange.py, endpoint.py)
    ACK_AFTER_FILL = "ack_after_fill"
    FILL_BEFORE_ACK = "fill_before_ack"
    DUPLICATE_FILL = "duplicate_fill"
    FILL_AFTER_CANCEL = "fill_after_cancel"
    CANCEL_UNKNOWN_FILLED = "cancel_unknown_filled"
    OVERFILL = "overfill"
    LATE_REJECT = "late_reject"
    """Accepted, and rejected a moment later."""
    NOT_FOUND_IN_GRACE = "not_found_in_grace"
    MISSING_FROM_OPEN = "missing_from_open"
    # What others do there (mischief.py)
    EXPIRED_BY_VENUE = "expired_by_venue"
    LIQUIDATION = "liquidation"
    CLOSED_BY_HAND = "closed_by_hand"
    ORDER_BY_HAND = "order_by_hand"
    CANCELLED_BY_HAND = "cancelled_by_hand"
    LEVERAGE_ELSEWHERE = "leverage_elsewhere"
    TICK_CHANGED = "tick_changed"
    SYMBOL_HALTED = "symbol_halted"
    # The market's streams (market.py)
    MARKET_GAP = "market_gap"
    MARKET_REORDER = "market_reorder"
    MARKET_CROSSED = "market_crossed"
    PRICE_NAN = "price_nan"
    PRICE_NEGATIVE = "price_negative"
    PRICE_TENFOLD = "price_tenfold"
    MARKET_TRUNCATED = "market_truncated"
    MARKET_SILENT = "market_silent"
    MARKET_DROP = "market_drop"
    MARKET_JUMP = "market_jump"
    """The price truly moves by several percent at once."""
    # The machine: drawn and carried out by whoever owns the engine
    KILL = "kill"
    SLOW_FSYNC = "slow_fsync"
    FULL_DISK = "full_disk"
    CLOCK_BACK = "clock_back"
    CLOCK_FORWARD = "clock_forward"
    SUSPEND = "suspend"

    __hash__ = str.__hash__  # the one of enums is written in Python, and every draw looks its kind up


Told = Callable[[Fault, str], None]


def child(seed: object, name: str) -> random.Random:
    """The dice of one part of a world: `child(7, "network")`."""
    return random.Random(f"{seed}/{name}")


class Faults:
    """Draws faults by their probability and counts those injected.

    What a probability is of: a request, a message of a stream, a fill, a frame, or for what others do a second.
    """

    def __init__(self, seed: object, rates: Mapping[Fault, float], told: Told | None = None) -> None:
        """`told` hears of every injection: the kind and what it befell."""
        for kind, rate in rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"rates: {kind} is {rate}, which is no probability; give 0 to 1")
        self.rates = {Fault(kind): rate for kind, rate in rates.items() if rate > 0}
        self.counts: Counter[Fault] = Counter()
        self.stopped = False
        self._told = told
        self._dice = {kind: child(seed, f"fault/{kind}") for kind in self.rates}

    def hits(self, kind: Fault, where: str = "") -> bool:
        """Draw; true (and counted) when the fault is to be injected now. Ask only where it can take effect."""
        if not self._comes_up(kind):
            return False
        self._count(kind, where)
        return True

    def one_of(self, kinds: Iterable[Fault], where: str = "") -> Fault | None:
        """Draw several that exclude each other; the first that comes up is injected."""
        found = None
        dice = self._dice
        for kind in kinds:  # all are drawn, whichever comes up: what one kind does must not hang on another
            if kind in dice and self._comes_up(kind) and found is None:
                found = kind
        if found is not None:
            self._count(found, where)
        return found

    def between(self, kind: Fault, low: float, high: float) -> float:
        """A number for an injected fault: how long, how much."""
        dice = self._dice.get(kind)
        return dice.uniform(low, high) if dice is not None else low

    def stop(self) -> None:
        """Inject nothing more, and end what lasts (outages, bans, halts): from now on all must converge.

        What is under way still lands (late requests, late and repeated fills: 5 s), and a silent stream stays silent until
        its client leaves it.
        """
        self.stopped = True

    def _comes_up(self, kind: Fault) -> bool:
        dice = self._dice.get(kind)
        return dice is not None and not self.stopped and dice.random() < self.rates[kind]

    def _count(self, kind: Fault, where: str) -> None:
        self.counts[kind] += 1
        if self._told is not None:
            self._told(kind, where)


USUAL: dict[Fault, float] = {
    Fault.CONNECT_REFUSED: 0.03,
    Fault.DNS_FAILURE: 0.02,
    Fault.HANG_BEFORE_SEND: 0.01,
    Fault.REQUEST_LOST: 0.02,
    Fault.RESET_BEFORE_DELIVERY: 0.02,
    Fault.LATE_DELIVERY: 0.02,
    Fault.SLOW_REQUEST: 0.05,
    Fault.HANG_AFTER_SEND: 0.02,
    Fault.ACCEPTED_NO_ANSWER: 0.03,
    Fault.ANSWER_AFTER_TIMEOUT: 0.02,
    Fault.TRUNCATED_JSON: 0.02,
    Fault.GARBAGE_ANSWER: 0.01,
    Fault.HTTP_5XX_BEFORE: 0.02,
    Fault.HTTP_5XX_AFTER: 0.02,
    Fault.HTTP_403_PAGE: 0.01,
    Fault.HTTP_429: 0.02,
    Fault.HTTP_429_NO_WAIT: 0.01,
    Fault.HTTP_418: 0.003,
    Fault.OUTAGE: 0.003,
    Fault.STREAM_DROP: 0.02,
    Fault.STREAM_LOSS: 0.02,
    Fault.STREAM_DUPLICATE: 0.05,
    Fault.STREAM_REORDER: 0.05,
    Fault.STREAM_DELAY: 0.03,
    Fault.STREAM_SILENT: 0.01,
    Fault.STREAM_GARBAGE: 0.01,
    Fault.ACK_AFTER_FILL: 0.10,
    Fault.FILL_BEFORE_ACK: 0.10,
    Fault.DUPLICATE_FILL: 0.05,
    Fault.FILL_AFTER_CANCEL: 0.05,
    Fault.CANCEL_UNKNOWN_FILLED: 0.05,
    Fault.OVERFILL: 0.01,
    Fault.LATE_REJECT: 0.02,
    Fault.NOT_FOUND_IN_GRACE: 0.10,
    Fault.MISSING_FROM_OPEN: 0.05,
    Fault.EXPIRED_BY_VENUE: 0.02,
    Fault.LIQUIDATION: 0.005,
    Fault.CLOSED_BY_HAND: 0.01,
    Fault.ORDER_BY_HAND: 0.01,
    Fault.CANCELLED_BY_HAND: 0.02,
    Fault.LEVERAGE_ELSEWHERE: 0.01,
    Fault.TICK_CHANGED: 0.003,
    Fault.SYMBOL_HALTED: 0.005,
    Fault.MARKET_GAP: 0.01,
    Fault.MARKET_REORDER: 0.01,
    Fault.MARKET_CROSSED: 0.02,
    Fault.PRICE_NAN: 0.01,
    Fault.PRICE_NEGATIVE: 0.01,
    Fault.PRICE_TENFOLD: 0.01,
    Fault.MARKET_TRUNCATED: 0.01,
    Fault.MARKET_SILENT: 0.002,
    Fault.MARKET_DROP: 0.002,
    Fault.MARKET_JUMP: 0.005,
    Fault.KILL: 0.02,
    Fault.SLOW_FSYNC: 0.02,
    Fault.FULL_DISK: 0.003,
    Fault.CLOCK_BACK: 0.005,
    Fault.CLOCK_FORWARD: 0.005,
    Fault.SUSPEND: 0.005,
}
"""A rough day, by kind."""


def weather(seed: object, rates: Mapping[Fault, float] = USUAL) -> dict[Fault, float]:
    """The rates of one run: about half of the kinds, from far rarer to far more often than `rates`.

    Kinds that are alone in a run, or together with few, find what the same mixture over and over does not.
    """
    dice = child(seed, "weather")
    share = dice.choice((0.0, 0.1, 0.2, 0.4, 0.4, 0.7, 0.7, 1.0))
    drawn = {}
    for kind, rate in rates.items():
        among, strength = dice.random() < share, 10 ** dice.uniform(-0.7, 0.7)
        if among:
            drawn[kind] = min(0.5, rate * strength)
    return drawn
