"""The rehearsal exchange outlives a killed engine: its file holds what was true, and nothing else is believed."""

from __future__ import annotations

import asyncio
import resource
from decimal import Decimal
from pathlib import Path

import pytest

from engine.sim.booking import Booked
from engine.sim.exchange import Exchange
from engine.sim.faults import Fault, Faults, child
from engine.sim.loop import VirtualClock, run
from engine.sim.memory import Memory
from engine.sim.protocol import Place, Remove
from tests.kit import instrument

D = Decimal


def _exchange(rates: dict[Fault, float] | None = None) -> Exchange:
    exchange = Exchange([instrument()], VirtualClock(), Faults(1, rates or {}), child(1, "exchange"), D(10_000))
    exchange.set_top("BTCUSDT", D(60_000), D("60000.1"))
    return exchange


def _place(client_id: str, size: str, price: str | None, side: str = "BUY") -> Place:
    at = D(price) if price is not None else None
    return Place(client_id, "BTCUSDT", side, D(size), at, "GTC", False, False)


def _truth(exchange: Exchange) -> tuple[list[Booked], Decimal, Decimal, list[str]]:
    live = [order.client_id for order in exchange.live_orders()]
    return exchange.orders, exchange.position("BTCUSDT"), exchange.wallet, live


def test_a_full_disk_stops_no_order_and_what_it_did_not_take_is_written_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "exchange"

    async def main() -> None:
        first = _exchange()
        memory = Memory(first, path)
        first.place(_place("before", "0.01", None))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # In the middle of a line.
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, limits[1]))
        try:
            first.place(_place("full", "0.02", None))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        first.place(_place("after", "0.03", None))
        memory.close()
        again = _exchange()
        Memory(again, path).close()
        assert _truth(again) == _truth(first)
        assert again.position("BTCUSDT") == D("0.06")

    run(main())


def test_orders_fills_position_and_money_are_there_again(tmp_path: Path) -> None:
    path = tmp_path / "exchange"

    async def main() -> None:
        first = _exchange({Fault.ACK_AFTER_FILL: 0.5})
        memory = Memory(first, path)
        for n in range(20):
            first.place(_place(f"m{n}", "0.01", None, "BUY" if n % 3 else "SELL"))
        first.place(_place("rests", "0.02", "59000"))
        first.place(_place("gone", "0.02", "58000"))
        first.cancel(Remove("gone", "BTCUSDT"))
        memory.close()
        for _ in range(2):
            again = _exchange()
            memory = Memory(again, path)
            assert _truth(again) == _truth(first)
            memory.close()
        again.tell = lambda order, fill: None
        assert again.place(_place("next", "0.01", None)).fills[-1].fill_id not in {
            fill.fill_id for order in first.orders for fill in order.fills
        }

    run(main())


def test_nothing_is_told_before_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "exchange"

    async def main() -> None:
        exchange = _exchange()
        kept: list[int] = []
        exchange.tell = lambda order, fill: kept.append(path.read_bytes().count(b"\n"))
        memory = Memory(exchange, path)
        exchange.place(_place("a", "0.01", None))
        assert kept[0] == 1
        assert kept == sorted(set(kept))
        memory.close()

    run(main())


def test_a_line_that_a_kill_cut_off_did_not_happen(tmp_path: Path) -> None:
    path = tmp_path / "exchange"

    async def main() -> None:
        exchange = _exchange()
        memory = Memory(exchange, path)
        exchange.place(_place("a", "0.01", "59000"))
        memory.close()
        path.write_bytes(path.read_bytes() + b'{"order":{"order_id":2,')
        again = _exchange()
        Memory(again, path).close()
        assert [order.client_id for order in again.orders] == ["a"]

    run(main())


def test_a_file_of_something_else_is_refused_by_name_and_line(tmp_path: Path) -> None:
    path = tmp_path / "exchange"
    path.write_text("hello\n")

    async def main() -> None:
        with pytest.raises(ValueError, match=r"exchange, line 1 is not the exchange's.*move the file away"):
            Memory(_exchange(), path)
        await asyncio.sleep(0)

    run(main())
    assert path.read_text() == "hello\n"
