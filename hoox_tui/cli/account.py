"""hoox account: paper money. Every change is a line in the ledger; nothing is deleted."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from hoox_tui.cli import ask, offline
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, Yes, settings_for
from hoox_tui.cli.output import print_json, print_table
from hoox_tui.cli.problems import NoEngine

app = typer.Typer(help="Paper money: show, deposit, reset.", no_args_is_help=True)


@app.command()
def show(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """The account and its money."""
    settings = settings_for(env, feed, ledger)
    try:
        status = ask.with_engine(settings, lambda link: link.query("status"))
        money = ask.with_engine(settings, lambda link: link.query("balance"))["rows"]
    except NoEngine:
        status, money = {}, offline.rows(settings.ledger_path, "balance")
    kept = ("account", "env", "feed", "prices", "asset", "equity", "day_pnl", "open_positions", "open_orders", "kill")
    account = {
        "ledger": str(settings.ledger_path),
        **{key: status[key] for key in kept if key in status},
        "balances": money,
    }
    if as_json:
        print_json(account)
        return
    print_table(
        ("account", ""), [(key.replace("_", " "), value) for key, value in account.items() if key != "balances"]
    )
    for row in money:
        typer.echo("")
        print_table((row["asset"], ""), [(key, value) for key, value in row.items() if key != "asset"])


@app.command()
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
    command = Deposit(request_id=ask.request_id(), asset=asset or settings.asset, amount=_amount("amount", amount))
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
    command = ResetAccount(request_id=ask.request_id(), asset=asset or settings.asset, balance=amount)
    ask.confirm_and_send(settings, [command], yes=yes)


def _amount(field: str, text: Any) -> Decimal:
    from engine.model.money import BadNumber, to_decimal

    try:
        return to_decimal(field, text)
    except BadNumber as error:
        raise typer.BadParameter(str(error)) from None
