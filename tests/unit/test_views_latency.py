"""What the latency pane says of an order stays true after its last stage was counted."""

from __future__ import annotations

from engine.views.latency import LatencyBook


def test_an_order_counted_twice_keeps_its_stages() -> None:
    book = LatencyBook()
    book.begin("O1", {"key": 1_000, "intent": 3_000})
    book.mark("O1", "screen", 9_000)
    assert book.finish("O1") == {"intent": 2_000, "screen": 6_000, "total": 8_000}
    assert book.finish("O1") == {}
    last = {row.stage: row.last for row in book.view(0).rows}
    assert (last["intent"], last["screen"], last["total"]) == (2.0, 6.0, 8.0)
