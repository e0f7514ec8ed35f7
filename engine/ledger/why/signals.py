"""Signals in words: how one was received, what it waits for, how it ended."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.core.translate import LEAVES
from engine.ledger.why.plain import Facts, Said, asker, number
from engine.model import event as ev
from engine.model.event import Event
from engine.model.signal import Signal, WaitsFor
from engine.views.why import SECOND, duration

_SHOWN = 600
"""Characters of a body that are told; all of it is in its event."""
_WAITS = {
    WaitsFor.APPROVAL: "for a person to approve it",
    WaitsFor.FLAT: "until the position is flat",
    WaitsFor.QUEUE: "for its turn",
    WaitsFor.RETRY: "for the next try",
}


def meant(it: Signal) -> str:
    """What a signal asks for: LONG 0.5 base BTCUSDT market."""
    if it.action in LEAVES:
        return f"{it.action} {it.symbol}"
    kind = it.type.replace("_", " ").lower() + (f" at {number(it.price)}" if it.price is not None else "")
    return f"{it.action} {number(it.quantity)} {it.unit} {it.symbol} {kind}"


def received(event: Event, body: ev.SignalReceived) -> Said:
    """How it came, and what was known of it."""
    it, rules = body.signal, body.policy
    body_text = body.body if len(body.body) <= _SHOWN else f"{body.body[:_SHOWN]}… {len(body.body)} characters in all"
    facts: list[tuple[str, str]] = [
        ("signal", f"{it.id}, key {it.key}"),
        ("checks passed", ", ".join(body.checks)),
        ("intake took", ", ".join(f"{stage} {duration(ns)}" for stage, ns in body.stages.items() if ns >= 0)),
        ("policy", f"{rules.mode}, same side {rules.same_side}, opposite {rules.opposite}"),
        ("wanted", _wanted(it)),
        ("alert", _clock(it.alert_ns) if it.alert_ns is not None else ""),
        ("body", body_text),
    ]
    test = "a test: " if it.test else ""
    return f"{asker(event.owner)} signals by {it.path}: {test}{meant(it)}", tuple(f for f in facts if f[1])


def _wanted(it: Signal) -> str:
    numbers = (("leverage", it.leverage), ("take profit", it.take_profit), ("stop loss", it.stop_loss))
    asked = [f"{name} {number(value)}" for name, value in numbers if value is not None]
    return ", ".join([f"{it.exchange}'s {it.symbol}", *asked])


def waits(event: Event, body: ev.SignalWaits) -> Said:
    """What it waits for, and how long."""
    tries = f", after {body.attempt} tries in vain" if body.attempt else ""
    facts: Facts = ()
    if body.until_ns:
        facts = (("at most until", f"{_clock(body.until_ns)}, {duration(body.until_ns - event.time_ns)} from then"),)
    return f"the signal waits {_WAITS[body.reason]}{tries}", facts


def declined(event: Event, body: ev.SignalDeclined) -> Said:
    """A person does not let it trade."""
    return f"{asker(event.owner)} declines the signal{f': {body.reason}' if body.reason else ''}", ()


def ended(body: ev.SignalEnded) -> str:
    """Its one verdict."""
    code = f", {body.code}" if body.code else ""
    return f"the signal ended {body.status}{code}{f': {body.message}' if body.message else ''}"


def title(events: tuple[Event, ...], signal: str) -> str:
    """What it asked for and where it stands, from its own events."""
    asked, stands = signal, "accepted"
    for event in events:
        match event.body:
            case ev.SignalReceived(signal=it) if it.id == signal:
                asked = f"{signal}: {meant(it)} of {it.source}"
            case ev.SignalWaits(signal=name, reason=reason) if name == signal:
                stands = f"waits {_WAITS[reason]}"
            case ev.SignalApproved(signal=name) if name == signal:
                stands = "approved"
            case ev.SignalEnded(signal=name, status=status, message=message) if name == signal:
                stands = f"{status}{f': {message}' if message else ''}"
    return f"Signal {asked}, {stands}"


def _clock(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns // SECOND, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ns % SECOND // 1_000_000:03d} UTC"
