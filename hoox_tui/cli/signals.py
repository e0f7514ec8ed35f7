"""hoox signals, hoox latency: from the running engine, else from the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoox_tui.cli import ask
from hoox_tui.cli.offline import query
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import cut, print_json, print_rows, room_for, say, terminal_width, when
from hoox_tui.cli.problems import NoEngine

if TYPE_CHECKING:
    from hoox_tui.settings import Settings

app = typer.Typer()

SIGNAL = {
    "received": "received",
    "source": "source",
    "action": "action",
    "symbol": "symbol",
    "quantity": "quantity",
    "verdict": "verdict",
    "code": "code",
    "latency": "took",
    "message": "message",
    "id": "id",
}
STAGE = {"stage": "stage", "last": "last", "p50": "p50", "p95": "p95", "p99": "p99"}
SPARE = ("id", "latency", "quantity", "code", "action")
"""What a narrow terminal does without, the first first."""
LEAST_MESSAGE = 12
MOST = 100_000
"""Rows one question to a ledger may give."""
_SIGNALS = """SELECT signals.*, latency.ns AS total_ns, instruments.settle AS asset FROM signals
    LEFT JOIN latency ON latency.order_id = signals.request_id AND latency.stage = 'total'
    LEFT JOIN instruments ON instruments.id = signals.instrument ORDER BY signals.seq DESC LIMIT {limit}"""
_LATENCY = """SELECT latency.seq, latency.order_id, latency.stage, latency.ns,
    signals.source, orders.owner,
    COALESCE(orders.venue, (SELECT venue FROM events WHERE events.seq = signals.seq), '') AS venue
    FROM (SELECT * FROM latency ORDER BY seq DESC LIMIT {limit}) AS latency
    LEFT JOIN orders ON orders.id = latency.order_id
    LEFT JOIN signals ON signals.request_id = latency.order_id ORDER BY latency.seq"""


@app.command()
def signals(
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=MOST, help="The newest N.")] = 50,
    as_json: Json = False,
) -> None:
    """Signals, newest first: what came, what waits, what became of it. A narrow terminal shows no ids; --json does."""
    settings = settings_for(env, feed, ledger)
    from engine.views.signals import ROWS

    view = _engine(settings, "signals") if limit <= ROWS else None
    if view is None:
        rows, now_ns = [_signal(row) for row in query(settings.ledger_path, _SIGNALS.format(limit=limit))], 0
    else:
        rows, now_ns = view["rows"][:limit], view["time_ns"]
    if as_json:
        print_json(rows)
    else:
        print_rows(*_fitted([_shown(row, now_ns) for row in rows]), nothing="no signals")


def _fitted(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows and columns for the terminal there is: the message is cut, and before it what says least is left out."""
    columns, width = dict(SIGNAL), terminal_width()
    longest = max((len(row["message"]) for row in rows), default=0)
    if width is None or room_for("message", rows, columns, width) >= longest:
        return rows, columns
    # The year says least of all.
    rows = [{**row, "received": row["received"][5:]} for row in rows]
    for spare in SPARE:
        if room_for("message", rows, columns, width) >= min(longest, LEAST_MESSAGE):
            break
        del columns[spare]
    room = max(room_for("message", rows, columns, width), len(columns["message"]))
    return [{**row, "message": cut(row["message"], room)} for row in rows], columns


@app.command()
def latency(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Where the time of orders and signals goes: last, p50, p95, p99 of each stage, by venue and source."""
    settings = settings_for(env, feed, ledger)
    view = _engine(settings, "latency") or _measured(settings.ledger_path)
    if as_json:
        print_json(view)
        return
    from engine.views.format import count

    if not view["groups"]:
        typer.echo("nothing was measured yet")
    for group in view["groups"]:
        named = ", ".join(part for part in (group["venue"], group["source"]) if part)
        say(f"{count(group['samples'], group['path'])}{': ' + named if named else ''}")
        last = next((trace for trace in view["traces"] if _belongs(trace, group)), None)
        print_rows([_stage(row, last) for row in group["rows"]], STAGE, nothing="")
        typer.echo("")


def _engine(settings: Settings, name: str) -> dict[str, Any] | None:
    """What the engine says; None where none runs."""
    try:
        view: dict[str, Any] = ask.with_engine(settings, lambda link: link.query(name))
    except NoEngine:
        return None
    return view


def _signal(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the ledger in the shape of the engine's (engine.views.SignalRow), as far as it is known there."""
    from engine.views.signals import WAITING, quantity_text

    waits = row["code"] if row["status"] == WAITING else ""
    took = row["total_ns"] if row["total_ns"] is not None else row["latency_ns"]
    return {
        "id": row["request_id"],
        "received_ns": row["time_ns"],
        "source": row["source"],
        "mode": row["mode"],
        "path": row["path"],
        "action": row["action"],
        "symbol": row["symbol"],
        "quantity": quantity_text(row["action"], row["quantity"], row["unit"], row["asset"] or ""),
        "status": row["status"],
        "waits": waits,
        "code": "" if waits else row["code"],
        "message": row["message"],
        "took": took / 1_000,
    }


def _shown(row: dict[str, Any], now_ns: int) -> dict[str, Any]:
    verdict = f"waits: {row['waits']}{_countdown(row, now_ns)}" if row["waits"] else row["status"]
    return {**row, "received": when(row["received_ns"]), "verdict": verdict, "latency": _micros(row["took"])}


def _countdown(row: dict[str, Any], now_ns: int) -> str:
    """What is left of a wait, and the tries so far; a ledger without its engine does not tell."""
    left_s = max(row.get("until_ns", 0) - now_ns, 0) // 1_000_000_000
    tries = row.get("attempt", 0)
    return (f" {left_s // 60}:{left_s % 60:02}" if left_s else "") + (f" #{tries}" if tries else "")


def _measured(ledger: Path) -> dict[str, Any]:
    """The view that an engine would give of the ledger's last measurements."""
    from itertools import groupby

    from msgspec import to_builtins

    from engine.views.latency import ORDER, SIGNAL, STAGES, Key, LatencyBook

    book = LatencyBook()
    for (_, name), rows in groupby(
        query(ledger, _LATENCY.format(limit=MOST)), lambda row: (row["seq"], row["order_id"])
    ):
        stages = list(rows)
        source, path = stages[0]["source"], ORDER if stages[0]["source"] is None else SIGNAL
        took = {row["stage"]: row["ns"] for row in stages}
        in_order = {stage: took[stage] for stage in (*STAGES[path], "total") if stage in took}
        book.count(name, Key(path, stages[0]["venue"], source or stages[0]["owner"] or "hand"), in_order)
    built: dict[str, Any] = to_builtins(book.view(0))
    return built


def _belongs(trace: dict[str, Any], group: dict[str, Any]) -> bool:
    return trace["path"] == group["path"] and all(group[name] in ("", trace[name]) for name in ("venue", "source"))


def _stage(row: dict[str, Any], last: dict[str, Any] | None) -> dict[str, Any]:
    """A line of the table: `last` is what the last order or signal of the group took."""
    took = {span[0]: span[2] for span in last["spans"]} if last is not None else {}
    took["total"] = sum(took.values()) if took else None
    return {"stage": row["stage"], **{name: _micros(value) for name, value in row.items() if name != "stage"}} | {
        "last": _micros(took.get(row["stage"]))
    }


def _micros(value: float | None) -> str | None:
    """Microseconds for people: 41 µs, 1.31 ms, 2.10 s."""
    if value is None:
        return None
    if value < 1_000:
        return f"{value:.0f} µs"
    return f"{value / 1_000:.2f} ms" if value < 1_000_000 else f"{value / 1_000_000:.2f} s"
