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
from hoox_tui.cli.source_options import (
    Actions,
    Addresses,
    Approve,
    Burst,
    Drift,
    Mail,
    MaxAge,
    MaxNotional,
    Mode,
    Opposite,
    Patience,
    PerHour,
    Rate,
    Retry,
    SameSide,
    Symbols,
    WeakDedup,
    about_of,
    policy_of,
    waits_of,
)

if TYPE_CHECKING:
    from engine.intake.enroll import Enrolled
    from engine.intake.sources import Source
    from hoox_tui.settings import Settings

app = typer.Typer(help="Sources of signals: add, list, set, rotate a key, remove.", no_args_is_help=True)

DEFAULT_WEBHOOK = "127.0.0.1:8787"

Name = Annotated[str, typer.Argument(help="The source's name: a-z, 0-9 and -.", show_default=False)]
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
    policy = policy_of(mode, same_side, opposite, symbols, actions, max_notional, orders_per_hour)
    policy |= waits_of(approve, entry_patience, entry_drift, retry)
    about = about_of(addresses, mail, rate, burst, max_age, weak_dedup)
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
    policy = policy_of(mode, same_side, opposite, symbols, actions, max_notional, orders_per_hour)
    policy |= waits_of(approve, entry_patience, entry_drift, retry)
    about = about_of(addresses, mail, rate, burst, max_age, weak_dedup)
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


def _edited(source: Source, policy: dict[str, Any], about: dict[str, Any]) -> Source:
    from msgspec.structs import replace

    return replace(source, policy=replace(source.policy, **policy), **about)


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
