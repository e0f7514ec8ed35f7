"""python -m benchmarks.run [--json] [NAME ...]: every figure of `hoox bench`, or those named, one after the other in one run.

A name is one of BENCHES, or a group of them: ticks, ledger, latency, signals, desk.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import desk, latency, ledger, signals, ticks

BENCHES: dict[str, tuple[str, Callable[[], Any]]] = {
    "armed": ("(a) frame -> decoded -> book -> triggers, nothing firing, by armed orders", ticks.armed),
    "tick_to_order": ("(b) frame -> decision -> risk -> order created", ticks.tick_to_order),
    "tick_to_trigger": ("(b) frame -> trigger fired -> order sent, 100,000 armed", ticks.tick_to_trigger),
    "durable_single": ("(c) six events of an order -> durable, one order at a time", ledger.durable_single),
    "durable": ("(c) events -> durable, one at a time and grouped, beside aiosqlite", ledger.durable),
    "restart": ("(d) a ledger of 1,000,000 events opened, with and without a snapshot", ledger.restart),
    "replay": ("(d) replay with hashes verified; read, hash, decode and fold apart", ledger.replay),
    "pages": ("(e) a page of 100 rows from anywhere in 1,000,000 events", ledger.pages),
    "latency_sample": ("what measuring costs: a sample, a signal, a view", latency.sample),
    "signal_checks": ("a signal: authenticate, validate, sign", signals.checks),
    "signal_answered": ("a signal: received -> durable -> answered, beside a bare echo", signals.answered),
    "signal_crowd": ("50 signals at once", signals.at_once),
    "signal_shown": ("a signal: sent -> on a screen", signals.shown),
    "signal_flood": ("1,000 signals/s for 10 s with the desk open", signals.flood),
    "first_paint": ("from `hoox` to a drawn desk, the engine's start included", desk.first_paint),
    "desk": ("a busy desk of 160x45 on a pty beside its engine at 5,000 ticks/s", desk.busy_desk),
}


def _lines(figures: Any, indent: str = "  ") -> list[str]:
    lines: list[str] = []
    for key, value in figures.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{key}")
            lines.extend(_lines(value, indent + "  "))
        else:
            lines.append(f"{indent}{key:<24} {value:>14,.2f}")
    return lines


def chosen(asked: list[str]) -> list[str]:
    """The benchmarks of these names and groups, all without any; raises KeyError with the first that is neither."""
    groups: dict[str, list[str]] = {}
    for name, (_, bench) in BENCHES.items():
        groups.setdefault(bench.__module__.rpartition(".")[2], []).append(name)
    wanted = {name for one in asked for name in ([one] if one in BENCHES else groups[one])}
    return [name for name in BENCHES if name in wanted or not asked]


def main(arguments: list[str]) -> int:
    """Run what was asked for and print it."""
    asked = [one for one in arguments if one != "--json"]
    try:
        names = chosen(asked)
    except KeyError as unknown:
        groups = sorted({bench.__module__.rpartition(".")[2] for _, bench in BENCHES.values()})
        print(
            f"{unknown.args[0]} is not known; choose from {', '.join(dict.fromkeys([*groups, *BENCHES]))}",
            file=sys.stderr,
        )
        return 2
    figures: dict[str, Any] = {}
    for name in names:
        title, bench = BENCHES[name]
        if "--json" not in arguments:
            print(title, flush=True)
        figures[name] = bench()
        if "--json" not in arguments:
            print("\n".join(_lines(figures[name])), flush=True)
    if "--json" in arguments:
        print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
