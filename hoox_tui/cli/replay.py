"""hoox ledger replay, hoox ledger travel: the ledger as it was at a moment, printed or on a screen."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoox_tui.cli import offline
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_json, print_rows, print_table
from hoox_tui.cli.problems import FAILED, Problem, note
from hoox_tui.cli.read import MONEY, ORDER, POSITION

if TYPE_CHECKING:
    from engine.ledger.history import History, Point
    from hoox_tui.moments import Until

Moment = Annotated[
    str | None,
    typer.Option(
        metavar="TIME|SEQ",
        help="An event's number; a time, UTC where it names no zone: 2026-11-20T19:05; or -5m, -2h: before the last event.",
    ),
]

PRICE = {"symbol": "price of", "mark": "mark", "bid": "bid", "ask": "ask", "seconds": "s old", "seq": "event"}


def replay(
    until: Moment = None,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Positions, orders, balances and equity as they were: from the nearest snapshot before, and the events after it."""
    from engine.ledger.history import History

    path = existing(env, feed, ledger)
    with closing(History(path, spacing=0)) as history:
        point = _point(history, until)
        data = _as_it_was(path, history, point)
        if as_json:
            print_json(data)
        else:
            _print(data)
        if history.damage and data["seq"] == history.last.seq:
            note(f"{history.damage}; this is the state after event {data['seq']}, the last good one")
            raise typer.Exit(FAILED)


def travel(
    at: Moment = None,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Look back on a screen: no engine is needed, and nothing in it trades."""
    settings = settings_for(env, feed, ledger)
    path = existing(env, feed, ledger)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("time travel needs a terminal; hoox ledger replay --until prints a moment")
    from engine.ledger.history import History
    from engine.link.recorded import RecordedLink
    from hoox_tui.past import run_past

    with closing(History(path)) as history:
        until = _until(history, at)
        stamped = history.env
    link = RecordedLink(path, until_seq=until.seq, until_ns=until.time_ns)
    run_past(link, env=stamped or settings.env, theme=settings.theme)


def existing(env: str | None, feed: str | None, ledger: str | None) -> Path:
    """The ledger that is meant; raises Problem where there is none."""
    return offline.existing(settings_for(env, feed, ledger).ledger_path)


def _until(history: History, text: str | None) -> Until:
    from hoox_tui.moments import BadMoment, Until, parse_until

    if text is None:
        return Until(seq=history.last.seq)
    try:
        return parse_until(text, history.last.time_ns)
    except BadMoment as error:
        raise typer.BadParameter(str(error)) from None


def _point(history: History, text: str | None) -> Point:
    from hoox_tui.moments import utc

    until = _until(history, text)
    if until.seq is not None:
        if until.seq > history.last.seq:
            raise Problem(history.damage or f"there is no event {until.seq} yet: the last one is {history.last.seq}")
        return history.at_seq(until.seq)
    assert until.time_ns is not None
    if until.time_ns < history.first.time_ns:
        raise Problem(f"nothing had happened by {until.text}: the first event is of {utc(history.first.time_ns)} UTC")
    return history.at_time(until.time_ns)


def _as_it_was(path: Path, history: History, point: Point) -> dict[str, Any]:
    from msgspec import to_builtins

    from engine.views import recorded, tables
    from engine.views.format import without_separators
    from hoox_tui.moments import utc

    folded = history.folded(point.seq)
    state, now = folded.state, point.time_ns
    desk = recorded.desk_at(state, folded.prices)
    status = recorded.status_view(desk, folded.prices, now, path.name)
    data = {
        "ledger": str(path),
        "seq": state.seq,
        "last_seq": history.last.seq,
        "time": f"{utc(now, '%Y-%m-%dT%H:%M:%S.%f')}Z",
        "time_ns": now,
        "event_ns": state.time_ns,
        "env": state.env,
        "feed": state.feed,
        "engine_start": state.epoch,
        "kill": state.kill,
        "kill_reason": state.kill_reason,
        "asset": status.asset,
        "equity": status.equity,
        "day_pnl": status.day_pnl,
        "valued_ns": recorded.valued_ns(desk, folded.prices),
        "positions": recorded.positions_view(desk, folded.prices, now).rows,
        "orders": tables.orders_view(desk, now).rows,
        "balances": recorded.balance_view(desk, folded.prices, now).rows,
        "prices": recorded.prices_view(desk, folded.prices, now).rows,
        "unknown": status.unknown,
        "differs": status.differs,
        "verified_since": folded.since,
    }
    plain: dict[str, Any] = without_separators(to_builtins(data))
    return plain


def _print(data: dict[str, Any]) -> None:
    since = data["verified_since"]
    rows: list[tuple[str, Any]] = [
        ("moment", f"{data['time'][:23].replace('T', ' ')} UTC, event {data['seq']} of {data['last_seq']}"),
        ("env", data["env"]),
        ("feed", data["feed"]),
        ("engine starts", data["engine_start"]),
        ("kill switch", f"on: {data['kill_reason']}" if data["kill"] else "off"),
        ("equity", f"{data['equity']} {data['asset']}{_valued(data)}" if data["equity"] else None),
        ("day", data["day_pnl"]),
        ("verified", f"since the snapshot after event {since}" if since else "from the first event on"),
    ]
    rows += [("UNKNOWN", text) for text in data["unknown"]] + [("DIFFERS", text) for text in data["differs"]]
    print_table(("as it was", ""), rows)
    prices = [
        {**row, "seconds": None if row["age_ns"] is None else f"{row['age_ns'] / 1e9:.1f}", "seq": row["seq"] or None}
        for row in data["prices"]
    ]
    for name, found, columns in (
        ("positions", data["positions"], POSITION),
        ("orders", data["orders"], ORDER),
        ("balances", data["balances"], MONEY),
        ("prices", prices, PRICE),
    ):
        typer.echo("")
        print_rows(found, columns, nothing=f"no {name}")


def _valued(data: dict[str, Any]) -> str:
    """Of when the prices are that equity was valued with, where something was open."""
    at = data["valued_ns"]
    if at is None:
        return ""
    return f", at prices {(data['time_ns'] - at) / 1e9:.1f} s old" if at else ", at prices of unknown age"
