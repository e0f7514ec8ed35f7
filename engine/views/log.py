"""Events in words, for the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.core.state import State
from engine.model import event as ev
from engine.model.signal import Verdict, WaitsFor
from engine.views import format as fmt
from engine.views.structs import LogLine


def log_line(state: State, event: ev.Event) -> LogLine | None:
    """One line about an event; None for those that say nothing to a person."""
    teller = _TELLERS.get(type(event.body))
    if teller is None:
        return None
    level, text = teller(state, event, event.body)
    return LogLine(event.seq, event.time_ns, level, event.type, text)


def _order_text(state: State, order_id: str) -> str:
    order = state.find_order(order_id)
    if order is None:
        return order_id
    terms = order.terms
    instrument = state.instruments[terms.instrument]
    kind = terms.type.replace("_", " ").lower()
    level = order.price if order.price is not None else order.trigger
    at = f" {fmt.price(instrument, level)}" if level is not None else ""
    role = "" if terms.role in ("entry", "close") else f" ({terms.role.replace('_', ' ')})"
    return f"{order_id} {terms.side.lower()} {fmt.size(instrument, order.size)} {instrument.symbol} {kind}{at}{role}"


def _order(level: str, verb: str) -> Callable[[State, ev.Event, Any], tuple[str, str]]:
    def tell(state: State, event: ev.Event, body: Any) -> tuple[str, str]:
        reason = getattr(body, "reason", "")
        return level, f"{verb} {_order_text(state, body.order)}" + (f": {reason}" if reason else "")

    return tell


def _accepted(state: State, event: ev.Event, body: ev.OrderAccepted) -> tuple[str, str]:
    order = state.orders.get(body.order)
    # A market order never rests: it is filled or gone.
    rests = order is not None and order.terms.type.has_price
    return "info", f"{'resting' if rests else 'accepted'} {_order_text(state, body.order)}"


def _filled(state: State, event: ev.Event, body: ev.OrderFilled) -> tuple[str, str]:
    instrument = state.instruments[event.instrument]
    size, price = fmt.size(instrument, body.size), fmt.price(instrument, body.price)
    money = f", PnL {fmt.signed(body.realised)}" if body.closing else ""
    side = "maker" if body.maker else "taker"
    return "good", f"filled {body.order} {size} {instrument.symbol} @ {price}, {side} fee {body.fee:.4f}{money}"


def _created(state: State, event: ev.Event, body: ev.OrderCreated) -> tuple[str, str]:
    return "info", f"order {_order_text(state, body.terms.id)}"


def _started(state: State, event: ev.Event, body: ev.EngineStarted) -> tuple[str, str]:
    return "info", body.recovered or f"engine started, {body.env}, {body.feed}"


def _fired(state: State, event: ev.Event, body: ev.TriggerFired) -> tuple[str, str]:
    return "warn", f"triggered by {body.source} {body.price}: {_order_text(state, body.order)}"


def _liquidated(state: State, event: ev.Event, body: ev.Liquidated) -> tuple[str, str]:
    instrument = state.instruments[event.instrument]
    at, level = fmt.price(instrument, body.mark), fmt.price(instrument, body.level)
    return "error", f"LIQUIDATED {body.position} {instrument.symbol}: mark {at} met {level}"


def _funding(state: State, event: ev.Event, body: ev.FundingPaid) -> tuple[str, str]:
    word = "received" if body.amount > 0 else "paid"
    return "info", f"funding {word} {abs(body.amount):.4f} on {event.instrument} at {body.rate * 100:.4f}%"


def _funds(state: State, event: ev.Event, body: ev.FundsMoved) -> tuple[str, str]:
    return "info", f"{body.reason}: {fmt.signed(body.amount)} {body.asset}"


def _kill(state: State, event: ev.Event, body: ev.KillChanged) -> tuple[str, str]:
    reason = f": {body.reason}" if body.reason else ""
    return "error" if body.on else "warn", f"kill switch {'ON' if body.on else 'off'}{reason}"


def _flatten_begun(state: State, event: ev.Event, body: ev.FlattenBegun) -> tuple[str, str]:
    return "error", f"flattening {event.account}: entries are cancelled, everything open is closed at market"


def _flatten_ended(state: State, event: ev.Event, body: ev.FlattenEnded) -> tuple[str, str]:
    return "warn", f"{event.account} is flat"


def _refused(state: State, event: ev.Event, body: ev.RiskRejected | ev.IntentRefused) -> tuple[str, str]:
    return "error", f"refused {body.code}: {body.message}"


def _alarm(state: State, event: ev.Event, body: ev.AlarmRaised) -> tuple[str, str]:
    return "error", f"{body.code}: {body.message}"


def _leverage(state: State, event: ev.Event, body: ev.LeverageChanged) -> tuple[str, str]:
    return "info", f"leverage of {state.instruments[event.instrument].symbol} is {body.leverage}x"


def _moved(state: State, event: ev.Event, body: ev.TriggerMoved) -> tuple[str, str]:
    return "info", f"trail {body.order} now {body.trigger} (best {body.extremum})"


def _unknown(state: State, event: ev.Event, body: ev.OrderUnknown) -> tuple[str, str]:
    return "error", f"UNKNOWN {_order_text(state, body.order)}: {body.evidence}"


def _asked(state: State, event: ev.Event, body: ev.OrderAsked) -> tuple[str, str]:
    return "warn", f"asked for {_order_text(state, body.order)}: {body.answer}; its outcome is still not known"


def _attested(state: State, event: ev.Event, body: ev.OrderAttested) -> tuple[str, str]:
    order = state.find_order(body.order)
    instrument = state.instruments[order.terms.instrument] if order is not None else None
    at = "" if instrument is None or body.price is None else f" @ {fmt.price(instrument, body.price)}"
    what = f"{body.filled:f} of it filled{at}" if body.filled else "nothing of it filled"
    who = event.owner if event.owner != "hand" else "a person"
    return "warn", f"{who} answers for {_order_text(state, body.order)}: {what}; reason: {body.reason}"


def _covered(state: State, event: ev.Event, body: ev.FillCovered) -> tuple[str, str]:
    return (
        "info",
        f"fill {body.fill_id} of {body.order}, {body.size:f} @ {body.price:f}, was booked by an attestation already",
    )


def _differs(state: State, event: ev.Event, body: ev.PositionDiffers) -> tuple[str, str]:
    symbol = state.instruments[event.instrument].symbol
    return (
        "error",
        f"position of {symbol} DIFFERS: the venue says {body.theirs:+f}, the ledger {body.ours:+f}; entries wait",
    )


def _agreed(state: State, event: ev.Event, body: ev.PositionAgreed) -> tuple[str, str]:
    return "good", f"position of {state.instruments[event.instrument].symbol}: the venue and the ledger agree again"


def _amending(state: State, event: ev.Event, body: ev.AmendRequested) -> tuple[str, str]:
    parts = (("price", body.price), ("size", body.size))
    wanted = ", ".join(f"{name} {value:f}" for name, value in parts if value is not None)
    return "info", f"amending {_order_text(state, body.order)} to {wanted}"


def _signal_text(state: State, signal_id: str) -> str:
    record = state.find_signal(signal_id)
    if record is None:
        return f"signal {signal_id}"
    return f"{record.signal.action} {record.signal.symbol} of {record.signal.source}"


def _signal_received(state: State, event: ev.Event, body: ev.SignalReceived) -> tuple[str, str]:
    return "info", f"signal {_signal_text(state, body.signal.id)} by {body.signal.path}, mode {body.policy.mode}"


def _signal_waits(state: State, event: ev.Event, body: ev.SignalWaits) -> tuple[str, str]:
    named = _signal_text(state, body.signal)
    seconds = max(body.until_ns - event.time_ns, 0) // 1_000_000_000
    within = f" within {seconds} s" if body.until_ns else ""
    tries = f", tried {fmt.count(body.attempt, 'time')}" if body.attempt else ""
    if body.reason is WaitsFor.APPROVAL:
        return "warn", f"APPROVE? {named}{within}: F4 shows it"
    words = {WaitsFor.FLAT: "waits until flat", WaitsFor.QUEUE: "waits for its turn", WaitsFor.RETRY: "tries again"}
    return "info", f"{named} {words[body.reason]}{within}{tries}"


def _signal_ended(state: State, event: ev.Event, body: ev.SignalEnded) -> tuple[str, str]:
    level = _VERDICT_LEVELS[body.status]
    why = ": ".join(part for part in (body.code, body.message) if part)
    return level, f"{body.status} {_signal_text(state, body.signal)}" + (f": {why}" if why else "")


_VERDICT_LEVELS = {
    Verdict.EXECUTED: "good",
    Verdict.REFUSED: "error",
    Verdict.EXPIRED: "error",
    Verdict.DECLINED: "warn",
    Verdict.IGNORED: "info",
    Verdict.LOGGED: "info",
}

_TELLERS: dict[type, Callable[[State, ev.Event, Any], tuple[str, str]]] = {
    ev.EngineStarted: _started,
    ev.EngineStopped: lambda state, event, body: ("info", f"engine stopped: {body.reason}"),
    ev.FundsMoved: _funds,
    ev.KillChanged: _kill,
    ev.FlattenBegun: _flatten_begun,
    ev.FlattenEnded: _flatten_ended,
    ev.LeverageChanged: _leverage,
    ev.MarginChanged: lambda state, event, body: ("info", f"margin {fmt.signed(body.amount)} on {body.position.id}"),
    ev.RiskRejected: _refused,
    ev.IntentRefused: _refused,
    ev.OrderCreated: _created,
    ev.OrderAccepted: _accepted,
    ev.OrderRejected: _order("error", "rejected"),
    ev.OrderCancelled: _order("warn", "cancelled"),
    ev.OrderExpired: _order("warn", "expired"),
    ev.OrderResized: _order("info", "resized"),
    ev.OrderAmended: _order("info", "amended"),
    ev.OrderUnknown: _unknown,
    ev.OrderAsked: _asked,
    ev.OrderAttested: _attested,
    ev.FillCovered: _covered,
    ev.PositionDiffers: _differs,
    ev.PositionAgreed: _agreed,
    ev.AmendRequested: _amending,
    ev.AmendRejected: _order("warn", "not amended, it stands as it was:"),
    ev.CancelRequested: _order("info", "cancelling"),
    ev.TriggerMoved: _moved,
    ev.TriggerFired: _fired,
    ev.OrderFilled: _filled,
    ev.Liquidated: _liquidated,
    ev.FundingPaid: _funding,
    ev.AlarmRaised: _alarm,
    ev.SignalReceived: _signal_received,
    ev.SignalWaits: _signal_waits,
    ev.SignalApproved: lambda state, event, body: ("info", f"approved {_signal_text(state, body.signal)}"),
    ev.SignalEnded: _signal_ended,
}
