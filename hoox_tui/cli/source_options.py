"""What may be asked of a source on the command line, and the fields of its policy and of itself that this means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from decimal import Decimal

Mode = Annotated[str | None, typer.Option("--mode", help="off, log, approve or trade.", show_default="log")]
SameSide = Annotated[
    str | None, typer.Option("--same-side", help="LONG while long: add, ignore or reject.", show_default="reject")
]
Opposite = Annotated[
    str | None, typer.Option("--opposite", help="LONG while short: reverse, net or reject.", show_default="reject")
]
Symbols = Annotated[str | None, typer.Option("--symbols", help="All it may trade, with commas; all: any.")]
Actions = Annotated[str | None, typer.Option("--actions", help="All it may send, like LONG,CLOSE; all: any.")]
MaxNotional = Annotated[
    str | None, typer.Option("--max-notional", help="Largest value of one order, settle asset; off: none.")
]
PerHour = Annotated[str | None, typer.Option("--orders-per-hour", help="Most entries within an hour; off: any.")]
Approve = Annotated[
    int | None, typer.Option("--approve", help="How long it waits for a person, seconds.", show_default="300")
]
Patience = Annotated[
    int | None, typer.Option("--entry-patience", help="How long an entry may wait, seconds.", show_default="60")
]
Drift = Annotated[
    str | None, typer.Option("--entry-drift", help="Over what move of the price, a fraction.", show_default="0.005")
]
Retry = Annotated[
    str | None,
    typer.Option("--retry", help="Waits before what was not sent is sent again.", show_default="30,60,300,900"),
]
Addresses = Annotated[
    str | None, typer.Option("--addresses", help="Where it sends from: IPs, networks, tradingview; any: anywhere.")
]
Mail = Annotated[str | None, typer.Option("--mail", help="Mail senders whose mails are its signals; none: nobody's.")]
Rate = Annotated[float | None, typer.Option("--rate", help="Requests a second on the long run.", show_default="20")]
Burst = Annotated[int | None, typer.Option("--burst", help="Requests at once.", show_default="200")]
MaxAge = Annotated[int | None, typer.Option("--max-age", help="Oldest alert taken, seconds.", show_default="300")]
WeakDedup = Annotated[
    bool | None, typer.Option("--weak-dedup/--no-weak-dedup", help="Equal bodies within 30 s count as one.")
]


def policy_of(
    mode: str | None,
    same_side: str | None,
    opposite: str | None,
    symbols: str | None,
    actions: str | None,
    max_notional: str | None,
    orders_per_hour: str | None,
) -> dict[str, Any]:
    """The fields of a policy that were given."""
    from engine.model import signal as model

    given: dict[str, Any] = {}
    for field, kind, text in (
        ("mode", model.SourceMode, mode),
        ("same_side", model.SameSide, same_side),
        ("opposite", model.Opposite, opposite),
    ):
        if text is not None:
            given[field] = _choice(field, kind, text.lower())
    if symbols is not None:
        given["symbols"] = tuple(symbol.upper() for symbol in _several("--symbols", symbols, "all"))
    if actions is not None:
        given["actions"] = tuple(
            _choice("actions", model.SignalAction, action.upper()) for action in _several("--actions", actions, "all")
        )
    if max_notional is not None:
        given["max_notional"] = None if max_notional == "off" else _number("--max-notional", max_notional)
    if orders_per_hour is not None:
        if orders_per_hour != "off" and not orders_per_hour.isdecimal():
            raise typer.BadParameter(f"--orders-per-hour is {orders_per_hour!r}; write a whole number, or off")
        given["orders_per_hour"] = None if orders_per_hour == "off" else int(orders_per_hour)
    return given


def waits_of(approve: int | None, patience: int | None, drift: str | None, retry: str | None) -> dict[str, Any]:
    """The fields of a policy that say how long, as far as they were given."""
    tries = None if retry is None else _several("--retry", retry, "")
    if tries is not None and not all(each.isdecimal() for each in tries):
        raise typer.BadParameter(f"--retry is {retry!r}; write seconds with commas, like 30,60,300,900")
    given = {
        "approve_s": approve,
        "entry_patience_s": patience,
        "entry_drift": None if drift is None else _number("--entry-drift", drift),
        "retry_s": None if tries is None else tuple(int(each) for each in tries),
    }
    return {field: value for field, value in given.items() if value is not None}


def _number(option: str, text: str) -> Decimal:
    from engine.model.money import BadNumber, to_decimal

    try:
        return to_decimal(option, text)
    except BadNumber as error:
        raise typer.BadParameter(str(error)) from None


def about_of(
    addresses: str | None,
    mail: str | None,
    rate: float | None,
    burst: int | None,
    max_age: int | None,
    weak_dedup: bool | None,
) -> dict[str, Any]:
    """The fields of a source that were given."""
    places = None if addresses is None else _several("--addresses", addresses, "any")
    senders = None if mail is None else _several("--mail", mail.lower(), "none")
    given = {
        "addresses": places,
        "mail": senders,
        "rate": rate,
        "burst": burst,
        "max_age_s": max_age,
        "weak_dedup": weak_dedup,
    }
    return {field: value for field, value in given.items() if value is not None}


def _several(option: str, text: str, none: str) -> tuple[str, ...]:
    """The words between commas, none for the word that says so. No word at all is a variable that was not set: an error."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        remedy = f"write some with commas, or {none}" if none else "write some with commas"
        raise typer.BadParameter(f"{option} is {text!r}, which names nothing; {remedy}")
    return () if len(words) == 1 and words[0].lower() == none else words


def _choice(field: str, kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        option = field.replace("_", "-")
        raise typer.BadParameter(f"--{option} is {text!r}; choose from {', '.join(kind)}") from None
