"""A venue's reports in any order and any number: the ledger ends where the venue does (semantics 11.3, 11.4)."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from engine.core.inputs import OrderSaid
from engine.model.account import Execution
from engine.model.market import Side
from engine.model.order import ENDED, Order, OrderStatus, OrderType
from engine.model.report import VenueFill, VenueOrder
from tests.kit import BUY, MS, SELL, Bench, Replayed

D = Decimal
S = OrderStatus
PRICE = D("59990")


class Life(NamedTuple):
    """What became of an order at its venue: the sizes that filled, in order, and how it ended (None: it still works)."""

    side: Side
    fills: tuple[int, ...]
    rest: int
    end: OrderStatus | None


lives = st.builds(
    Life,
    st.sampled_from((BUY, SELL)),
    st.lists(st.integers(1, 50), max_size=5).map(tuple),
    st.integers(1, 30),
    st.sampled_from((None, S.FILLED, S.CANCELLED, S.EXPIRED)),
).filter(lambda life: life.end is not S.FILLED or bool(life.fills))


def sent(life: Life) -> tuple[Bench, Order]:
    bench = Bench(balance="1000000", execution=Execution.VENUE)
    bench.market("60000")
    size = D(sum(life.fills) + (0 if life.end is S.FILLED else life.rest)).scaleb(-2)
    bench.place(life.side, str(size), OrderType.LIMIT, price=str(PRICE), leverage=10)
    return bench, bench.last_order


def reports(life: Life, order: Order) -> list[VenueOrder]:
    """The stream of this life, in the order it happened: the ack, a report for each fill, the ending."""
    done = D(0)
    found = [stated(order, S.ACCEPTED, done)]
    for number, part in enumerate(life.fills):
        size = D(part).scaleb(-2)
        done += size
        fill = VenueFill(f"t{number}", PRICE, size, D("0.5") * part)
        found.append(stated(order, S.FILLED if done == order.terms.size else S.PARTIAL, done, fill))
    if life.end in (S.CANCELLED, S.EXPIRED):
        found.append(stated(order, life.end, done))
    return found


def stated(order: Order, status: OrderStatus, filled: Decimal, *fills: VenueFill) -> VenueOrder:
    terms = order.terms
    return VenueOrder(
        terms.client_id, "v1", terms.instrument, terms.side, status, terms.size, filled, PRICE, fills=tuple(fills)
    )


def hear(bench: Bench, said: VenueOrder) -> None:
    bench.at(bench.now + MS)
    bench.handle(OrderSaid(bench.now, "main", said))


def outcome(bench: Bench) -> object:
    """What was recorded of the order and of the money, without times and numbers of events."""
    order = bench.state.find_order("O1")
    assert order is not None
    lots = [
        (p.size, p.cost, p.fees, p.realised, p.margin)
        for p in (*bench.state.positions.values(), *bench.state.closed.values())
    ]
    return (
        order.status,
        order.filled,
        order.fees,
        sorted(order.applied.items()),
        lots,
        bench.account.balances,
        bench.free,
    )


@given(lives, st.data())
def test_reports_that_come_twice_and_in_any_order_leave_the_same_position(life: Life, data: st.DataObject) -> None:
    """Once the venue was asked for the whole, nothing tells how its reports came."""
    calm, order = sent(life)
    for said in reports(life, order):
        hear(calm, said)
    expected = outcome(calm)

    wild, order = sent(life)
    replayed = Replayed()
    stream = reports(life, order)
    doubled = stream + data.draw(st.lists(st.sampled_from(stream), max_size=6), "duplicates")
    for said in data.draw(st.permutations(doubled), "arrival"):
        hear(wild, said)
        filled = sum((size for _, size in order.applied.values()), D(0))
        assert order.filled == filled <= order.terms.size
        assert abs(wild.size) == order.filled
    fills = tuple(fill for said in stream for fill in said.fills)
    whole = stream[-1]
    hear(wild, stated(order, whole.status, whole.filled, *fills))
    assert outcome(wild) == expected
    assert (order.status in ENDED) is (life.end is not None)
    replayed.read(wild.events)
    assert replayed.equals(wild.state)


@given(lives)
def test_an_answer_to_a_direct_query_is_all_that_is_needed(life: Life) -> None:
    """A stream that was lost altogether costs nothing but time."""
    calm, order = sent(life)
    for said in reports(life, order):
        hear(calm, said)
    deaf, order = sent(life)
    stream = reports(life, order)
    fills = tuple(fill for said in stream for fill in said.fills)
    hear(deaf, stated(order, stream[-1].status, stream[-1].filled, *fills))
    assert outcome(deaf) == outcome(calm)
