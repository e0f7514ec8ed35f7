"""What `hoox source` does: make sources and their keys, show them, replace keys, remove sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from msgspec.structs import replace

from engine.intake.keys import new_hmac_secret, new_key
from engine.intake.sources import FILE, Source, SourcesError, changing, read
from engine.model.signal import SignalAction


class Enrolled(NamedTuple):
    """A source with its new key, shown once: `url`, `api_key` and `template` are for the sender."""

    source: Source
    url: str
    api_key: str
    template: str


def add(home: Path, source: Source, *, base_url: str, now_ns: int) -> Enrolled:
    """Register a source and make its first key; keys it has already are dropped. Raises SourcesError."""
    with changing(home / FILE) as sources:
        if source.name in sources:
            raise SourcesError(
                f"source {source.name!r} is there already: rotate its key, or remove it, or choose another name"
            )
        key = new_key(now_ns)
        sources[source.name] = source = replace(source, keys=(key.kept,))
    return _enrolled(source, base_url, key.text)


def sources(home: Path) -> tuple[Source, ...]:
    """All of them; raises SourcesError."""
    return read(home / FILE)


def rotate(home: Path, name: str, *, base_url: str, now_ns: int) -> Enrolled:
    """Make a new key; the last one stays valid beside it until `retire`, earlier ones do not. Raises SourcesError."""
    key = new_key(now_ns)
    source = change(home, name, lambda source: replace(source, keys=(key.kept, *source.keys[:1])))
    return _enrolled(source, base_url, key.text)


def retire(home: Path, name: str) -> Source:
    """End a rotation: only the newest key stays valid. Raises SourcesError."""
    return change(home, name, lambda source: replace(source, keys=source.keys[:1]))


def let_sign(home: Path, name: str) -> str:
    """Make a source sign from now on; returns the secret, shown once: unsigned requests are refused. Raises SourcesError."""
    secret = new_hmac_secret()
    change(home, name, lambda source: replace(source, hmac=secret))
    return secret


def change(home: Path, name: str, edit: Callable[[Source], Source]) -> Source:
    """Replace a source by what `edit` makes of it; raises SourcesError."""
    with changing(home / FILE) as sources:
        if name not in sources:
            raise _unknown(name, tuple(sources))
        sources[name] = source = edit(sources[name])
    return source


def remove(home: Path, name: str) -> Source:
    """Forget a source; its keys are worth nothing from then on. Raises SourcesError."""
    with changing(home / FILE) as sources:
        if name not in sources:
            raise _unknown(name, tuple(sources))
        return sources.pop(name)


def base_url(webhook: str, *, tls: bool) -> str:
    """`127.0.0.1:8787` -> `http://127.0.0.1:8787`."""
    return f"{'https' if tls else 'http'}://{webhook}"


def webhook_url(base: str, name: str) -> str:
    """Where a source sends its signals."""
    return f"{base.rstrip('/')}/webhook/{name}"


def curl(url: str, api_key: str) -> str:
    """A command that sends one signal, however often it is run. The key is in no argument: others could see it in `ps`."""
    return (
        f"curl -sS {url} -H 'Content-Type: application/json' -d @- <<'EOF'\n"
        f'{{"apiKey":"{api_key}","exchange":"paper","action":"LONG","symbol":"BTCUSDT","quantity":"0.01",'
        f'"idempotencyKey":"try-{token_hex(6)}"}}\n'
        "EOF"
    )


def pine(api_key: str) -> str:
    """A TradingView strategy's alerts, to paste. The alert's message is `{{strategy.order.alert_message}}`."""
    wanted = (SignalAction.LONG, SignalAction.SHORT, SignalAction.CLOSE)
    messages = "\n".join(f'{action.lower()}Message = hoox("{action}")' for action in wanted)
    return f"""\
//@version=6
// Paste into your strategy. Create the alert with the message: {{{{strategy.order.alert_message}}}}
hooxKey      = "{api_key}"
hooxExchange = "paper"
hooxQuantity = "0.01"
hoox(action) =>
    '{{"apiKey":"' + hooxKey + '","exchange":"' + hooxExchange + '","action":"' + action + '","symbol":"' + syminfo.ticker + '","quantity":"' + hooxQuantity + '","time":"' + str.format_time(timenow, "yyyy-MM-dd'T'HH:mm:ss'Z'", "UTC") + '"}}'
{messages}
// strategy.entry("Long",  strategy.long,  alert_message = longMessage)
// strategy.entry("Short", strategy.short, alert_message = shortMessage)
// strategy.close("Long", alert_message = closeMessage)
"""


def _enrolled(source: Source, base: str, api_key: str) -> Enrolled:
    return Enrolled(source, webhook_url(base, source.name), api_key, pine(api_key))


def _unknown(name: str, known: tuple[str, ...]) -> SourcesError:
    return SourcesError(f"there is no source {name!r}; known are: {', '.join(known) or 'none, add one first'}")
