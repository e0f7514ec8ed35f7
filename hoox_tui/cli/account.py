"""hoox account: paper money. Every change is a line in the ledger; nothing is deleted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoox_tui.cli import ask, offline
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, Yes, settings_for
from hoox_tui.cli.output import print_json, print_table
from hoox_tui.cli.problems import NoEngine

if TYPE_CHECKING:
    from hoox_tui.settings import Settings

app = typer.Typer(help="Paper money: show, deposit, reset.", no_args_is_help=True)


@app.command()
def show(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """The account and its money."""
    settings = settings_for(env, feed, ledger)
    status, balance = _status_and_balance(settings)
    kept = ("account", "env", "feed", "prices", "asset", "equity", "day_pnl", "open_positions", "open_orders", "kill")
    account = {
        "ledger": str(settings.ledger_path),
        **{key: status[key] for key in kept if key in status},
        "balances": balance["rows"],
    }
    if as_json:
        print_json(account)
        return
    shown = {key.replace("_", " "): value for key, value in account.items() if key not in ("kill", "balances")}
    print_table(("account", ""), [*shown.items(), ("kill switch", "ON" if account.get("kill") else "off")])
    for row in balance["rows"]:
        typer.echo("")
        print_table((row["asset"], ""), [(key, value) for key, value in row.items() if key != "asset"])


def _status_and_balance(settings: Settings) -> tuple[offline.Row, offline.Row]:
    """The engine's, else how the ledger stands and the next engine begins."""
    try:
        status: offline.Row = ask.with_engine(settings, lambda link: link.query("status"))
        balance: offline.Row = ask.with_engine(settings, lambda link: link.query("balance"))
    except NoEngine:
        from engine.link import killflag

        path = settings.ledger_path
        status, balance = offline.view(path, "status"), offline.view(path, "balance", say=False)
        # What equity was sampled last is of another time.
        equity = next((row["equity"] for row in balance["rows"] if row["asset"] == status["asset"]), None)
        kill = status["kill"] or killflag.left(path) is not None
        status |= {"prices": None, "equity": equity, "day_pnl": balance["day_pnl"], "kill": kill}
    return status, balance


@app.command(context_settings={"ignore_unknown_options": True})  # -20 is an amount
def deposit(
    amount: Annotated[str, typer.Argument(help="Paper money in; negative takes it out.")],
    asset: Annotated[str | None, typer.Option("--asset", help="Asset, default: the account's.")] = None,
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Add paper money."""
    from engine.model.command import Deposit

    settings = settings_for(env, feed, ledger)
    money = _amount("amount", amount)
    command = Deposit(request_id=ask.request_id(), asset=asset or _asset(settings), amount=money)
    ask.confirm_and_send(settings, [command], yes=yes)


@app.command()
def reset(
    balance: Annotated[
        str | None, typer.Option("--balance", metavar="N", help="Money to start with, default: the setting.")
    ] = None,
    asset: Annotated[str | None, typer.Option("--asset", help="Asset, default: the account's.")] = None,
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Start anew with a balance; refused while positions or orders are open."""
    from engine.model.command import ResetAccount

    settings = settings_for(env, feed, ledger)
    amount = settings.start_balance if balance is None else _amount("balance", balance)
    command = ResetAccount(request_id=ask.request_id(), asset=asset or _asset(settings), balance=amount)
    ask.confirm_and_send(settings, [command], yes=yes)


def _asset(settings: Settings) -> str:
    """The account's: what its instruments settle in, where the setting is none of theirs."""
    status: offline.Row = ask.with_engine(settings, lambda link: link.query("status"))
    return str(status["asset"])


def _amount(field: str, text: Any) -> Decimal:
    from engine.model.money import BadNumber, to_decimal

    try:
        return to_decimal(field, text)
    except BadNumber as error:
        raise typer.BadParameter(str(error)) from None
