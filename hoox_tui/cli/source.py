"""hoox source: who may send signals, with which keys, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from hoox_tui.cli.ask import agree
from hoox_tui.cli.listener import listener_of_home
from hoox_tui.cli.options import Json, Yes, settings_for
from hoox_tui.cli.output import print_json, print_rows, when
from hoox_tui.cli.problems import note

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.intake.enroll import Enrolled
    from engine.intake.sources import Source
    from hoox_tui.settings import Settings

app = typer.Typer(help="Sources of signals: add, list, set, rotate a key, remove.", no_args_is_help=True)

DEFAULT_WEBHOOK = "127.0.0.1:8787"

Name = Annotated[str, typer.Argument(help="The source's name: a-z, 0-9 and -.", show_default=False)]
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
Sign = Annotated[bool, typer.Option("--sign", help="Take signed requests only; prints the secret to sign with, once.")]
Url = Annotated[str | None, typer.Option("--url", help="How senders reach the listener, e.g. https://desk.example.")]


@app.command()
def add(
    name: Name,
    mode: Mode = None,
    same_side: SameSide = None,
    opposite: Opposite = None,
    symbols: Symbols = None,
    actions: Actions = None,
    max_notional: MaxNotional = None,
    orders_per_hour: PerHour = None,
    approve: Approve = None,
    entry_patience: Patience = None,
    entry_drift: Drift = None,
    retry: Retry = None,
    addresses: Addresses = None,
    mail: Mail = None,
    rate: Rate = None,
    burst: Burst = None,
    max_age: MaxAge = None,
    weak_dedup: WeakDedup = None,
    sign: Sign = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Let a source send signals: prints its key, once, and what to paste."""
    from engine.clock import wall_ns
    from engine.intake import enroll
    from engine.intake.sources import Source

    settings = settings_for(None, None, None)
    policy = _policy(mode, same_side, opposite, symbols, actions, max_notional, orders_per_hour)
    policy |= _waits(approve, entry_patience, entry_drift, retry)
    about = _about(addresses, mail, rate, burst, max_age, weak_dedup)
    source = _edited(Source(name), policy, about)
    enrolled = enroll.add(settings.home, source, base_url=_base(settings, url), now_ns=wall_ns())
    secret = enroll.let_sign(settings.home, name) if sign else ""
    _show_key(enrolled, secret, as_json)


class Changes(TyperCommand):
    """It changes what is given and nothing else: there are no defaults to show."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for param in self.params:
            if isinstance(param, TyperOption):
                param.show_default = False


@app.command(name="set", cls=Changes)
def set_(
    name: Name,
    mode: Mode = None,
    same_side: SameSide = None,
    opposite: Opposite = None,
    symbols: Symbols = None,
    actions: Actions = None,
    max_notional: MaxNotional = None,
    orders_per_hour: PerHour = None,
    approve: Approve = None,
    entry_patience: Patience = None,
    entry_drift: Drift = None,
    retry: Retry = None,
    addresses: Addresses = None,
    mail: Mail = None,
    rate: Rate = None,
    burst: Burst = None,
    max_age: MaxAge = None,
    weak_dedup: WeakDedup = None,
    sign: Sign = False,
    as_json: Json = False,
) -> None:
    """Change what a source may do; a running engine obeys at once."""
    from engine.intake import enroll

    home = settings_for(None, None, None).home
    policy = _policy(mode, same_side, opposite, symbols, actions, max_notional, orders_per_hour)
    policy |= _waits(approve, entry_patience, entry_drift, retry)
    about = _about(addresses, mail, rate, burst, max_age, weak_dedup)
    source = enroll.change(home, name, lambda source: _edited(source, policy, about))
    secret = enroll.let_sign(home, name) if sign else ""
    if as_json:
        print_json(_row(source) | ({"hmac": secret} if secret else {}))
        return
    _show([source])
    if secret:
        typer.echo(f"sign with, shown once: {secret}")


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Every source, and what should be looked at."""
    from engine.intake import enroll

    found = enroll.sources(settings_for(None, None, None).home)
    if as_json:
        print_json([_row(source) for source in found])
    else:
        _show(found)


@app.command()
def rotate(
    name: Name,
    end: Annotated[bool, typer.Option("--end", help="Make no key; let only the newest one be valid.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make a new key; the last one stays valid beside it until `rotate --end`."""
    from engine.clock import wall_ns
    from engine.intake import enroll

    settings = settings_for(None, None, None)
    if end:
        source = enroll.retire(settings.home, name)
        if as_json:
            print_json(_row(source))
        note(f"{name}: only key hx_{source.keys[0].id}_… is valid" if source.keys else f"{name} has no key")
        return
    enrolled = enroll.rotate(settings.home, name, base_url=_base(settings, url), now_ns=wall_ns())
    _show_key(enrolled, "", as_json)
    if len(enrolled.source.keys) > 1:
        note(f"the key before it is still valid; end that with: hoox source rotate {name} --end")


@app.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Forget a source; its keys are worth nothing from then on. What it sent stays in the ledger."""
    from engine.intake import enroll

    agree(yes)
    enroll.remove(settings_for(None, None, None).home, name)
    note(f"{name} is removed")


# --- What is asked for --------------------------------------------------------------------------------


def _policy(
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


def _waits(approve: int | None, patience: int | None, drift: str | None, retry: str | None) -> dict[str, Any]:
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


def _about(
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


def _edited(source: Source, policy: dict[str, Any], about: dict[str, Any]) -> Source:
    from msgspec.structs import replace

    return replace(source, policy=replace(source.policy, **policy), **about)


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


def _base(settings: Settings, url: str | None) -> str:
    """How senders reach the listener: as told, as the running engine says, else as it would be at the next start."""
    from engine.intake import enroll

    if url:
        return url
    if (running := listener_of_home(settings)) is not None:
        return running.url
    if not settings.webhook:
        note(f"no listener is on: start the desk with HOOX_WEBHOOK={DEFAULT_WEBHOOK}, or set webhook in hoox.toml")
    return enroll.base_url(settings.webhook or DEFAULT_WEBHOOK, tls=settings.webhook_tls_cert is not None)


# --- What is shown ------------------------------------------------------------------------------------


def _show_key(enrolled: Enrolled, secret: str, as_json: bool) -> None:
    from engine.intake.enroll import curl
    from engine.intake.sources import needs_attention

    source = enrolled.source
    if as_json:
        shown = {"name": source.name, "url": enrolled.url, "apiKey": enrolled.api_key, "template": enrolled.template}
        print_json(shown | ({"hmac": secret} if secret else {}))
    else:
        typer.echo(f"source {source.name}, mode {source.policy.mode}")
        typer.echo(f"url      {enrolled.url}")
        typer.echo(f"apiKey   {enrolled.api_key}   (shown once)")
        if secret:
            typer.echo(f"hmac     {secret}   (shown once; unsigned requests are refused)")
        if not (secret or source.hmac):
            typer.echo("\ntry it: one signal, however often it is sent; another idempotencyKey makes it a new one")
            typer.echo(curl(enrolled.url, enrolled.api_key))
        typer.echo(f"\nfor TradingView:\n{enrolled.template}")
    for warning in needs_attention(source):
        note(f"! {source.name} {warning}")


def _show(sources: list[Source] | tuple[Source, ...]) -> None:
    from engine.intake.sources import needs_attention

    columns = {
        "name": "source",
        "mode": "mode",
        "sameSide": "same side",
        "opposite": "opposite",
        "maxNotional": "max notional",
        "ordersPerHour": "an hour",
        "addresses": "from",
        "keys": "keys",
    }
    rows = [
        {
            key: ", ".join(f"{k['id']} of {when(k['made_ns'])[:10]}" if key == "keys" else str(k) for k in value)
            if isinstance(value, list)
            else value
            for key, value in _row(source).items()
        }
        for source in sources
    ]
    print_rows(rows, columns, nothing="there are no sources; add one with: hoox source add NAME --mode trade")
    for source in sources:
        for warning in needs_attention(source):
            note(f"! {source.name} {warning}")


def _row(source: Source) -> dict[str, Any]:
    """What may be shown of a source: no secret, no hash."""
    policy = source.policy
    return {
        "name": source.name,
        "mode": str(policy.mode),
        "sameSide": str(policy.same_side),
        "opposite": str(policy.opposite),
        "symbols": list(policy.symbols),
        "actions": [str(action) for action in policy.actions],
        "maxNotional": None if policy.max_notional is None else str(policy.max_notional),
        "ordersPerHour": policy.orders_per_hour,
        "approve": policy.approve_s,
        "entryPatience": policy.entry_patience_s,
        "entryDrift": str(policy.entry_drift),
        "retry": list(policy.retry_s),
        "addresses": list(source.addresses),
        "mail": list(source.mail),
        "rate": source.rate,
        "burst": source.burst,
        "maxAge": source.max_age_s,
        "weakDedup": source.weak_dedup,
        "signed": bool(source.hmac),
        "keys": [{"id": key.id, "made_ns": key.made_ns} for key in source.keys],
    }
