"""What a preview says of the position after an order is what the engine then makes of it, the leverage it sets included."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import OrderType
from engine.views.preview import preview
from engine.views.tables import positions_view, trades_view
from tests.kit import Bench

D = Decimal
sides = st.sampled_from(Side)
sizes = st.integers(1, 800).map(lambda n: D(n).scaleb(-3))
leverages = st.sampled_from([None, 2, 5, 20])
held = st.none() | st.tuples(sides, sizes, st.sampled_from([2, 5, 10, 50]))
moves = st.integers(-500, 500)


def bench_with(position: Any, move: int) -> Bench:
    bench = Bench(balance="1000000")
    bench.market("60000")
    if position is not None:
        side, size, leverage = position
        bench.open(side, str(size), leverage=leverage)
    price = D(60_000 + move)
    bench.quote(str(price), str(price + D("0.1")), "100000", "100000")
    bench.mark(str(price))
    return bench


@given(held, moves, sides, sizes, leverages, st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_position_after_an_order_is_the_one_previewed(
    position: Any, move: int, side: Side, size: Decimal, leverage: int | None, reduce_only: bool
) -> None:
    bench = bench_with(position, move)
    order = cmd.PlaceOrder(
        request_id="p", instrument=bench.instruments[0].id, side=side, size=size, type=OrderType.MARKET,
        leverage=leverage, reduce_only=reduce_only,
    )  # fmt: skip
    shown = preview(bench.desk, order, bench.now)
    bench.place(side, str(size), leverage=leverage, reduce_only=reduce_only)
    bench.wait()
    if shown.errors:
        return
    rows = dict(shown.rows)
    after = "flat"
    if bench.state.positions:
        (row,) = positions_view(bench.desk, bench.now).rows
        after = f"{'long' if row.side == 'L' else 'short'} {row.size} @ {row.entry}"
        assert rows["liquidation"] == (row.liquidation or "none")
    assert rows["position"].endswith(f" -> {after}")


@given(held.filter(lambda position: position is not None), moves, st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_what_a_close_brings_is_what_was_previewed(position: Any, move: int, quarters: int) -> None:
    bench = bench_with(position, move)
    if not bench.state.positions:
        return
    close = {"position": bench.position.id, "fraction": D(quarters) / 4}
    shown = preview(bench.desk, cmd.ClosePosition(request_id="c", **close), bench.now)  # type: ignore[arg-type]
    before = bench.account.balances["USDT"], bench.account.margins["USDT"]
    bench.ask(cmd.ClosePosition, **close)
    bench.wait()
    if shown.errors:
        return
    rows = dict(shown.rows)
    made, back = bench.account.balances["USDT"] - before[0], before[1] - bench.account.margins["USDT"]
    insured = D(rows["insurance"].split()[0].replace(",", "")) if "insurance" in rows else D(0)
    after_fee = D(rows["PnL"].split(", ")[1].split()[0].replace(",", ""))
    assert abs(made - after_fee - insured) <= D("0.02")
    assert rows["margin back"] == f"{back:,.2f} USDT"
    if quarters == 4:
        (row,) = trades_view(bench.desk, bench.now).rows
        assert rows["PnL"].startswith(f"{bench.state.closed[row.id].realised:+z,.2f}")
