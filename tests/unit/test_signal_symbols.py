"""A CLOSE finds what is open: in whichever of the instruments that its symbol may mean, or it asks which."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.inputs import Listed
from engine.model import command as cmd
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.order import OrderStatus
from engine.model.report import VenuePosition
from engine.model.signal import SourceMode
from engine.views.preview import preview
from tests.kit import BUY, SELL, instrument
from tests.signal_kit import EXECUTED, AtVenue, Inbox, policy

D = Decimal
BINANCE = instrument(id="binance.perp:BTCUSDT", venue="binance")
BYBIT = instrument(id="bybit.perp:BTCUSDT", venue="bybit")
SPOT = instrument(id="binance.spot:BTCUSDT", venue="binance", product="spot")
ASKS = policy(mode=SourceMode.APPROVE)


def desk(*there: Instrument) -> Inbox:
    inbox = Inbox(*there, balance="1000000")
    for one in there[1:]:
        inbox.quote("60000", "60000.1", of=one)
    return inbox


def hold(inbox: Inbox, one: Instrument, side: Side = BUY) -> None:
    inbox.place(side, "0.5", instrument=one.id)
    inbox.wait()


def held(inbox: Inbox) -> set[str]:
    return {position.instrument for position in inbox.state.positions.values()}


@pytest.mark.parametrize("where", [BINANCE, BYBIT, SPOT])
@pytest.mark.parametrize("exchange", ["paper", "binance", "bybit"])
def test_a_close_finds_the_one_position_that_is_open(where: Instrument, exchange: str) -> None:
    inbox = desk(BINANCE, BYBIT, SPOT)
    hold(inbox, where)
    inbox.signal("CLOSE", exchange=exchange)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert held(inbox) == set()
    assert inbox.replayed()


@pytest.mark.parametrize(
    ("there", "exchange", "left"),
    [
        ((BINANCE, BYBIT), "bybit", BINANCE),
        ((BINANCE, BYBIT), "binance", BYBIT),
        ((BINANCE, SPOT), "paper", SPOT),
        ((BYBIT, SPOT), "binance", BYBIT),
    ],
)
def test_of_several_that_are_open_the_exchange_and_then_the_product_decide(
    there: tuple[Instrument, Instrument], exchange: str, left: Instrument
) -> None:
    inbox = desk(*there)
    for one in there:
        hold(inbox, one)
    inbox.signal("CLOSE", exchange=exchange)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert held(inbox) == {left.id}


def test_a_close_that_may_mean_two_positions_is_refused_naming_both_and_the_remedy() -> None:
    inbox = desk(BINANCE, BYBIT)
    hold(inbox, BINANCE)
    hold(inbox, BYBIT)
    inbox.signal("CLOSE", exchange="paper")
    inbox.wait()
    assert inbox.verdict() == ("refused", "AMBIGUOUS")
    assert all(word in inbox.record().message for word in (BINANCE.id, BYBIT.id, "exchange"))
    assert held(inbox) == {BINANCE.id, BYBIT.id}
    assert inbox.replayed()


def test_a_close_of_one_side_finds_the_position_of_that_side() -> None:
    inbox = desk(BINANCE, BYBIT)
    hold(inbox, BINANCE)
    hold(inbox, BYBIT, SELL)
    inbox.signal("CLOSE_SHORT", exchange="binance")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert held(inbox) == {BINANCE.id}


def test_a_close_takes_away_the_source_s_own_entry_where_it_was_sent_and_leaves_what_others_hold_elsewhere() -> None:
    inbox = desk(BINANCE, SPOT)
    hold(inbox, SPOT)
    inbox.signal("LONG", "0.1", exchange="binance", type="LIMIT", price="59000")
    inbox.wait()
    inbox.signal("CLOSE", exchange="binance")
    inbox.wait()
    assert inbox.verdict("k1") == ("expired", "CANCELLED")
    inbox.market("58000")
    inbox.wait()
    assert held(inbox) == {SPOT.id}
    inbox.signal("CLOSE", exchange="binance")
    inbox.wait()
    assert held(inbox) == set()


def test_a_close_ends_what_waits_for_approval_where_it_was_sent() -> None:
    inbox = desk(BINANCE, SPOT)
    hold(inbox, SPOT)
    inbox.signal("LONG", "0.1", ASKS, exchange="binance")
    inbox.signal("CLOSE", exchange="binance")
    assert inbox.verdict("k1") == ("expired", "SUPERSEDED")
    assert held(inbox) == {SPOT.id}


def test_a_close_without_a_position_finds_the_source_s_working_entries() -> None:
    inbox = desk(BINANCE, BYBIT)
    inbox.signal("LONG", "0.1", exchange="bybit", type="LIMIT", price="59000")
    inbox.wait()
    inbox.signal("CLOSE", exchange="paper")
    inbox.wait()
    assert inbox.verdict("k1") == ("expired", "CANCELLED")


def test_entries_go_where_they_always_went() -> None:
    inbox = desk(BINANCE, BYBIT)
    hold(inbox, BYBIT)
    inbox.signal("LONG", "0.1", exchange="binance")
    inbox.wait()
    assert held(inbox) == {BINANCE.id, BYBIT.id}


def test_a_close_means_what_it_meant_when_it_came_as_long_as_that_is_open() -> None:
    inbox = desk(BINANCE, BYBIT)
    hold(inbox, BYBIT)
    inbox.signal("CLOSE", exchange="binance", rules=ASKS)
    hold(inbox, BINANCE)
    inbox.ask(cmd.ApproveSignal, signal=inbox.record().signal.id)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert held(inbox) == {BINANCE.id}


def test_a_close_that_would_find_its_position_elsewhere_by_now_is_refused_and_never_called_flat() -> None:
    inbox = desk(BINANCE, BYBIT)
    hold(inbox, BYBIT)
    inbox.signal("CLOSE", exchange="binance", rules=ASKS)
    inbox.ask(cmd.ClosePosition, position=inbox.position.id)
    inbox.wait()
    hold(inbox, BINANCE)
    inbox.ask(cmd.ApproveSignal, signal=inbox.record().signal.id)
    assert inbox.verdict() == ("refused", "AMBIGUOUS")
    assert "send it again" in inbox.record().message
    assert held(inbox) == {BINANCE.id}


def test_what_only_the_venue_states_is_found_too() -> None:
    venue = AtVenue()
    other = instrument(id="sim.spot:BTCUSDT", product="spot")
    venue.instruments = (*venue.instruments, other)
    venue.restart()
    venue.stands(VenuePosition(other.id, D("0.5"), D(60000)))
    venue.signal("CLOSE")
    assert (venue.record().instrument, venue.record().waits) == (other.id, "retry")
    assert OrderStatus.SENT not in {order.status for order in venue.live()}


def test_a_close_that_waited_for_the_venue_is_not_called_flat_while_another_product_is_open() -> None:
    venue = AtVenue()
    other = instrument(id="sim.spot:BTCUSDT", product="spot")
    venue.instruments = (*venue.instruments, other)
    Inbox.restart(venue)
    venue.signal("CLOSE")
    assert venue.record().waits == "retry"
    venue.stands(VenuePosition(other.id, D("0.5"), D(60000)))
    venue.later(1)
    assert venue.verdict() == ("refused", "AMBIGUOUS")
    assert "send it again" in venue.record().message


def test_what_was_not_known_when_it_came_is_sent_again_not_replayed() -> None:
    inbox = desk(BINANCE)
    inbox.signal("LONG", symbol="ETHUSDT")
    inbox.handle(Listed(inbox.now, instrument("ETHUSDT")))
    shown = preview(inbox.desk, cmd.ReplaySignal(request_id="r", signal=inbox.record().signal.id), inbox.now)
    assert "would be refused: " in dict(shown.rows)["now"]
    assert "was not known when it came" in dict(shown.rows)["now"]


def test_an_entry_that_an_approved_close_ended_draws_no_later_close_to_where_nothing_is_open() -> None:
    inbox = desk(BINANCE, SPOT)
    inbox.signal("LONG", "0.1", ASKS, exchange="binance")
    inbox.signal("CLOSE", exchange="binance", rules=ASKS)
    inbox.ask(cmd.ApproveSignal, signal=inbox.record().signal.id)
    assert inbox.verdict("k1") == ("expired", "SUPERSEDED")
    hold(inbox, SPOT)
    inbox.signal("CLOSE", exchange="binance")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert held(inbox) == set()


def test_what_another_source_waits_to_enter_elsewhere_keeps_no_close_from_what_is_open() -> None:
    inbox = desk(BINANCE, SPOT)
    hold(inbox, SPOT)
    inbox.signal("LONG", "0.1", ASKS, exchange="binance", source="mail", key="m")
    inbox.signal("CLOSE", exchange="binance")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert held(inbox) == set()
    assert inbox.state.signals["s-mail-m"].waits == "approval"
