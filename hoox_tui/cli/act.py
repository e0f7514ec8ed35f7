"""hoox close, cancel, attest, kill: what takes risk off works from anywhere; the engine shows what it would do before it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hoox_tui.cli import ask
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, Yes, settings_for
from hoox_tui.cli.output import print_json, say
from hoox_tui.cli.problems import NoEngine, Problem, note

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.command import AnyCommand
    from hoox_tui.settings import Settings

app = typer.Typer()

Row = dict[str, Any]


@app.command()
def close(
    symbol: Annotated[str, typer.Argument(help="A symbol, or a position's id.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Close every position.")] = False,
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Close positions at market, reduce-only. Works with the kill switch on."""
    from engine.model.command import ClosePosition

    settings = settings_for(env, feed, ledger)
    chosen = _chosen(settings, "positions", symbol, every)
    ask.confirm_and_send(
        settings,
        [ClosePosition(request_id=ask.request_id(), position=row["id"]) for row in chosen],
        yes=yes,
    )


@app.command()
def cancel(
    order: Annotated[str, typer.Argument(help="An order's id, or a symbol.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Cancel every order, stops too.")] = False,
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Cancel working orders."""
    from engine.model.command import CancelAll, CancelOrder

    settings = settings_for(env, feed, ledger)
    chosen = _chosen(settings, "orders", order, every)
    commands: list[AnyCommand] = [CancelOrder(request_id=ask.request_id(), order=row["id"]) for row in chosen]
    ask.confirm_and_send(settings, [CancelAll(request_id=ask.request_id())] if every else commands, yes=yes)


@app.command()
def attest(
    order: Annotated[str, typer.Argument(help="The id of an order of unknown outcome.")],
    filled: Annotated[str, typer.Option("--filled", metavar="SIZE", help="How much more of it filled; 0: none did.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="How you know; it is recorded.")],
    price: Annotated[str | None, typer.Option("--price", metavar="P", help="Average price of what filled.")] = None,
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Answer for an order of unknown outcome: look at the venue first, your word ends it."""
    from engine.model.command import AttestOrder
    from engine.model.money import BadNumber, to_decimal

    settings = settings_for(env, feed, ledger)
    try:
        command = AttestOrder(
            request_id=ask.request_id(),
            order=order,
            reason=reason,
            filled=to_decimal("filled", filled),
            price=None if price is None else to_decimal("price", price),
        )
    except BadNumber as error:
        raise typer.BadParameter(str(error)) from None
    ask.confirm_and_send(settings, [command], yes=yes)


@app.command()
def kill(
    what: Annotated[str, typer.Argument(metavar="on|off|status", help="on blocks entries, never a close.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; every screen shows it.")] = "hoox kill on",
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Kill switch: `on` acts at once, `off` asks. Without an engine, `on` leaves a flag that the next start obeys."""
    settings = settings_for(env, feed, ledger)
    match what:
        case "on":
            _kill_on(settings, reason)
        case "off":
            _kill_off(settings, yes)
        case "status":
            _kill_status(settings, as_json)
        case _:
            raise typer.BadParameter(f"{what!r} is none of on, off, status")


def _chosen(settings: Settings, name: Literal["positions", "orders"], wanted: str, every: bool) -> list[Row]:
    """The rows that are meant; raises Problem when there are none."""
    if bool(wanted) == every:
        raise typer.BadParameter("name one, or say --all")
    rows: list[Row] = ask.with_engine(settings, lambda link: link.query(name))["rows"]
    word = wanted.upper()
    chosen = [
        row for row in rows if every or word in (row["id"].upper(), row["symbol"].upper(), row["instrument"].upper())
    ]
    if not chosen:
        there = ", ".join(sorted({row["symbol"] for row in rows}))
        raise Problem(
            f"no open {name} match {wanted}; there are {name} in {there}"
            if there and wanted
            else f"there are no open {name}"
        )
    return chosen


def _kill_on(settings: Settings, reason: str) -> None:
    from engine.link import killflag
    from engine.model.command import SetKill

    command = SetKill(request_id=ask.request_id(), on=True, reason=reason)
    try:
        ack = ask.with_engine(settings, lambda link: link.submit(command))
    except NoEngine:
        flag = killflag.kill_flag(settings.ledger_path)
        try:
            killflag.leave(settings.ledger_path, reason)
        except OSError as error:
            raise Problem(
                f"the kill switch is NOT on: no engine is running, and {flag} for the next one cannot be written ({error.strerror})"
            ) from None
        note(f"no engine is running: left {flag}; the next start begins with the kill switch on")
        return
    if not ack.ok:
        raise Problem(f"{ack.code}: {ack.message}")
    note("kill switch is ON: entries are refused, closes work")


def _kill_off(settings: Settings, yes: bool) -> None:
    from engine.link import killflag
    from engine.model.command import SetKill

    try:
        ask.confirm_and_send(
            settings, [SetKill(request_id=ask.request_id(), on=False, reason="hoox kill off")], yes=yes
        )
    except NoEngine:
        if killflag.left(settings.ledger_path) is None:
            raise
        killflag.clear(settings.ledger_path)
        note("no engine is running: the flag is removed; a kill switch that was on before stays on")


def _kill_status(settings: Settings, as_json: bool) -> None:
    from engine.link import killflag

    flag = killflag.left(settings.ledger_path)
    try:
        status = ask.with_engine(settings, lambda link: link.query("status"))
        on, reason = bool(status["kill"]), str(status["kill_reason"])
    except NoEngine:
        on, reason = (True, flag) if flag is not None else _recorded(settings.ledger_path)
        note("no engine is running: this is how the next one starts")
    if as_json:
        print_json({"kill": on, "reason": reason})
    else:
        say(f"kill switch is {'ON' if on else 'off'}" + (f": {reason}" if on and reason else ""))


def _recorded(ledger: Path) -> tuple[bool, str]:
    import json

    from engine.ledger.query import read_rows

    if not ledger.exists():
        return False, ""
    rows = read_rows(ledger, "SELECT payload FROM events WHERE type = 'KillChanged' ORDER BY seq DESC LIMIT 1")
    body = json.loads(rows[0]["payload"]) if rows else {}
    return bool(body.get("on")), str(body.get("reason", ""))
