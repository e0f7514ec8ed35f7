"""A price is old on the screens when it is too old for an entry: one limit, set in one place."""

from __future__ import annotations

import pytest

from engine.model.account import RiskLimits
from engine.views.market import book_view
from engine.views.tables import positions_view, stale
from tests.kit import BUY, MS, SECOND, Bench, refusal


@pytest.mark.parametrize("limit_ns", [750 * MS, 5 * SECOND, 20 * SECOND])
def test_screens_call_old_what_entries_are_refused_for(limit_ns: int) -> None:
    bench = Bench(limits=RiskLimits(max_data_age_ns=limit_ns))
    bench.market("60000")
    bench.open(BUY, "0.01", leverage=10)
    bench.market("60000")
    quoted = bench.now - MS
    name = bench.instruments[0].id
    for late, old in ((0, False), (1, True)):
        bench.at(quoted + limit_ns + late)
        view = book_view(bench.desk, name, bench.now)
        assert view is not None
        assert view.stale_from_ns == limit_ns
        assert view.stale is old
        assert stale(bench.desk.kernel, name, bench.now) is old
        assert positions_view(bench.desk, bench.now).rows[0].stale is old
        events = bench.place(BUY, "0.01")
        if old:
            assert refusal(events)[0] == "STALE"
        else:
            assert not bench.last_order.reason
