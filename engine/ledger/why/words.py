"""Events in words: what happened, and the numbers it was decided on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from engine.ledger.why import signals
from engine.ledger.why.plain import Facts, Said, asker, number, signed, symbol
from engine.ledger.why.reader import Row
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Position
from engine.model.event import Event
from engine.model.money import ZERO
from engine.model.order import OrderTerms, Role
from engine.views.why import duration

ENDINGS = ("OrderCancelled", "OrderExpired", "OrderRejected")
"""After which what is left of a protection stands again."""
_ROLES = {
    Role.ENTRY: "",
    Role.CLOSE: "closes",
    Role.STOP_LOSS: "stop loss",
    Role.TAKE_PROFIT: "take profit",
    Role.TRAILING: "trailing stop",
    Role.LIQUIDATION: "closes a liquidated position",
    Role.FLATTEN: "flattens",
    Role.EXTERNAL: "made at the venue by somebody else",
}


class Words:
    """Says events in order; remembers what later ones refer to."""

    def __init__(self, orders: Mapping[str, Row]) -> None:
        """`orders` are the rows of the orders named, for those whose making is not told."""
        self._orders = orders
        self._levels: dict[str, Decimal] = {}
        """Trigger of each order."""
        self._terms: dict[str, OrderTerms] = {}
        self._ended = ""
        """The exit that ended in the event before."""

    def say(self, event: Event) -> Said:
        """What happened, and its numbers."""
        body = event.body
        teller = _TELLERS.get(type(body))
        said = (_sentence(event), _fields(body)) if teller is None else teller(self, event, body)
        self._ended = getattr(body, "order", "") if event.type in ENDINGS else ""
        return said

    def intent(self, event: Event, body: ev.IntentCreated) -> Said:
        """Somebody asked."""
        return f"{asker(event.owner)} asks ({event.request_id}): {_command(body.command)}", _wanted(body.command)

    def approved(self, event: Event, body: ev.RiskApproved) -> Said:
        """Every rule passed."""
        count = len(body.checks)
        return (f"risk approves, {count} rules compared" if count else "risk approves: it only reduces"), ()

    def created(self, event: Event, body: ev.OrderCreated) -> Said:
        """An order was made."""
        terms = body.terms
        self._terms[terms.id] = terms
        if terms.trigger is not None and not terms.type.trails:
            self._levels[terms.id] = terms.trigger
        text = f"{terms.id} made: {_ordered(terms)}"
        before = self._terms.get(self._ended)
        if before is not None and before.request_id == terms.request_id and terms.reduce_only and before.reduce_only:
            text += f", stands again for what {before.id} left"
        elif terms.parent:
            text += f", for what {terms.parent} opened"
        elif terms.position:
            text += f", of {terms.position}"
        facts = _terms_facts(terms)
        return text, (*facts, ("reserve", number(body.reserve))) if body.reserve else facts

    def denied(self, event: Event, body: ev.OrderDenied) -> Said:
        """Ended before it left."""
        return f"{body.order} ended before it left, {body.code}: {body.reason}", ()

    def held(self, event: Event, body: ev.OrderHeld) -> Said:
        """Waits here."""
        terms = self._terms.get(body.order)
        if terms is None:
            return f"{body.order} held here until its trigger", ()
        level = self._levels.get(body.order)
        where = "trails" if terms.type.trails and level is None else f"waits for {number(level or ZERO)}"
        return f"{body.order} held here, {where} of {_source(terms)}", ()

    def accepted(self, event: Event, body: ev.OrderAccepted) -> Said:
        """The venue has it."""
        number_there = body.venue_order_id if body.venue_order_id != body.order else ""
        return f"{body.order} accepted, it rests", (("venue's number", number_there),) if number_there else ()

    def moved(self, event: Event, body: ev.TriggerMoved) -> Said:
        """A trail tightened."""
        self._levels[body.order] = body.trigger
        return f"{body.order} trails: its level is {number(body.trigger)}, best {number(body.extremum)}", ()

    def fired(self, event: Event, body: ev.TriggerFired) -> Said:
        """A level was met."""
        level = self._levels.get(body.order)
        met = f"met its level {number(level)}" if level is not None else "met its level"
        return f"{body.order} fired: {body.source} {number(body.price)} {met}", self._other(body.order)

    def amended(self, event: Event, body: ev.OrderAmended) -> Said:
        """Changed on request."""
        if body.trigger is not None:
            self._levels[body.order] = body.trigger
        return f"{body.order} amended: {_changes(body) or 'its reserve'}", (
            ("reserve", number(body.reserve)),
        ) if body.reserve else ()

    def filled(self, event: Event, body: ev.OrderFilled) -> Said:
        """A fill and the position after it."""
        side = "maker" if body.maker else "taker"
        does = "closes" if body.closing else "opens"
        text = f"{body.order} filled {number(body.size)} @ {number(body.price)}, {side}, {does} {body.position.id}"
        facts = [("fill", f"{body.fill_id}, fee {number(body.fee)} {body.fee_asset}")]
        if body.closing:
            paid = "" if (insured := number(body.insurance)) == "0" else f", insurance {insured}"
            facts.append(("realised", signed(body.realised) + paid))
        return text, (*self._other(body.order), *facts, *_position(body.position))

    def _other(self, order: str) -> Facts:
        """An order whose making is not told."""
        row = self._orders.get(order) if order not in self._terms else None
        return () if row is None else (("order", _row(row)),)

    def liquidated(self, event: Event, body: ev.Liquidated) -> Said:
        """The market met a liquidation price."""
        text = f"nobody asked, the market did it: mark {number(body.mark)} met liquidation {number(body.level)} of {body.position}"
        return text, (("bankruptcy", number(body.bankruptcy)),)

    def funding(self, event: Event, body: ev.FundingPaid) -> Said:
        """Funding was paid or received."""
        word = "received" if body.amount > 0 else "paid"
        text = f"{body.position.id} {word} funding {number(abs(body.amount))}: rate {number(body.rate * 100)} % at mark {number(body.mark)}"
        return text, _position(body.position)

    def due(self, event: Event, body: ev.FundingDue) -> Said:
        """The funding time came."""
        return "funding is due on what is held now", tuple((name, number(size)) for name, size in body.sizes.items())

    def attested(self, event: Event, body: ev.OrderAttested) -> Said:
        """A person answered for an outcome."""
        at = f" @ {number(body.price)}" if body.price is not None else ""
        what = f"{number(body.filled)}{at} of it filled" if body.filled else "nothing of it filled"
        return f"{asker(event.owner)} attests {body.order}: {what}, {body.reason}", ()

    def latency(self, event: Event, body: ev.LatencyMeasured) -> Said:
        """How long each stage took."""
        stages = [f"{stage} {duration(ns)}" for stage, ns in body.stages.items() if ns >= 0]
        return f"{body.order} was timed", (("from the first", ", ".join(stages)),)


def _source(terms: OrderTerms) -> str:
    return str(terms.source).replace("_", "/")


def _ordered(terms: OrderTerms) -> str:
    kind = str(terms.type).replace("_", " ").lower()
    role = _ROLES.get(terms.role, "")
    return f"{terms.side.lower()} {number(terms.size)} {symbol(terms.instrument)} {kind}" + (
        f", {role}" if role else ""
    )


def _row(row: Row) -> str:
    """An order whose making is not told: what it was and who asked."""
    kind, role = row["type"].replace("_", " ").lower(), _ROLES.get(Role(row["role"]), "")
    text = f"{row['side'].lower()} {row['size']} {kind}" + (f", {role}" if role else "")
    return f"{text}, of {asker(row['owner'])}" + (f" ({row['request_id']})" if row["request_id"] else "")


def _terms_facts(terms: OrderTerms) -> Facts:
    levels = {
        "price": terms.price,
        "trigger": terms.trigger,
        "trail bps": terms.trail_bps,
        "trail": terms.trail_offset,
        "take profit": terms.take_profit,
        "stop loss": terms.stop_loss,
    }
    flags = [str(terms.tif), f"{terms.leverage}x"]
    flags += [word for word, on in (("post-only", terms.post_only), ("reduce-only", terms.reduce_only)) if on]
    facts = [(name, number(value)) for name, value in levels.items() if value is not None]
    if terms.type.waits:
        flags.append(f"watches {_source(terms)}")
    return (*facts, ("terms", ", ".join(flags)))


def _position(after: Position) -> Facts:
    if after.size:
        side, entry = "long" if after.size > 0 else "short", number(after.cost / after.size)
        facts = [(f"{after.id} then", f"{side} {number(abs(after.size))} @ {entry}, {after.leverage}x")]
        liquidation = "none" if after.liquidation is None else number(after.liquidation)
        return (*facts, ("margin", f"{number(after.margin)}, liquidation {liquidation}"))
    held = duration(after.closed_ns - after.opened_ns) if after.closed_ns else "–"
    parts = [f"realised {signed(after.realised)}", f"fees {number(after.fees)}"]
    parts += [
        f"{name} {signed(value)}"
        for name, value in (("funding", after.funding), ("insurance", after.insurance))
        if number(value) != "0"
    ]
    result = f"net {signed(after.net)} ({', '.join(parts)})"
    return ((f"{after.id} then", f"flat, held {held}"), ("trade's result", result))


def _command(command: cmd.AnyCommand) -> str:
    match command:
        case cmd.PlaceOrder():
            kind = str(command.type).replace("_", " ").lower()
            return f"{command.side.lower()} {number(command.size)} {symbol(command.instrument)} {kind}"
        case cmd.ClosePosition(position=position, fraction=fraction):
            return f"close {number(fraction * 100)} % of {position}"
        case cmd.SetProtection(position=position):
            return f"protect {position}"
        case cmd.CancelOrder(order=order):
            return f"cancel {order}"
        case cmd.CancelAll(instrument=instrument, scope=scope):
            return f"cancel {scope} orders" + (f" of {symbol(instrument)}" if instrument else "")
        case cmd.AmendOrder(order=order):
            return f"amend {order}"
        case cmd.AttestOrder(order=order, reason=reason):
            return f"answers for {order}, {reason}"
        case cmd.ApproveSignal(signal=signal) | cmd.DeclineSignal(signal=signal) | cmd.ReplaySignal(signal=signal):
            return f"{type(command).__name__.removesuffix('Signal').lower()} signal {signal}"
        case cmd.FlattenAll():
            return "flatten all"
        case cmd.SetKill(on=on):
            return f"kill switch {'on' if on else 'off'}"
        case cmd.SetLeverage(instrument=instrument, leverage=leverage):
            return f"leverage of {symbol(instrument)} {leverage}x"
        case cmd.AdjustMargin(position=position, amount=amount):
            return f"margin {signed(amount)} on {position}"
        case cmd.Deposit(asset=asset, amount=amount):
            return f"deposit {signed(amount)} {asset}"
        case cmd.ResetAccount(asset=asset, balance=balance):
            return f"reset the account to {number(balance)} {asset}"


def _wanted(command: cmd.AnyCommand) -> Facts:
    """Terms of a command that its sentence does not say."""
    if not isinstance(command, cmd.PlaceOrder | cmd.SetProtection | cmd.AmendOrder):
        return ()
    facts: list[tuple[str, str]] = []
    for name in ("price", "trigger", "size", "trail_bps", "trail_offset", "take_profit", "stop_loss", "leverage"):
        value = getattr(command, name, None)
        if value is not None and not (name == "size" and isinstance(command, cmd.PlaceOrder)):
            facts.append((name.replace("_", " "), number(value)))
    return tuple(facts)


def _changes(body: Any) -> str:
    named = (("price", body.price), ("trigger", getattr(body, "trigger", None)), ("size", body.size))
    return ", ".join(f"{name} {number(value)}" for name, value in named if value is not None)


def _about(text: str) -> Callable[[Words, Event, Any], Said]:
    """A sentence from the body's own fields."""
    return lambda words, event, body: (text.format(body=body), ())


def _sentence(event: Event) -> str:
    """`EngineStarted` -> `engine started`."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in event.type).strip()


def _fields(body: Any) -> Facts:
    """What a body without words of its own says."""
    values = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return tuple(
        (name.replace("_", " "), number(value) if isinstance(value, Decimal) else str(value))
        for name, value in values
        if isinstance(value, Decimal | str | int) and value != ""
    )


_TELLERS: dict[type, Callable[[Words, Event, Any], Said]] = {
    ev.IntentCreated: Words.intent,
    ev.IntentRefused: _about("refused, {body.code}: {body.message}"),
    ev.RiskApproved: Words.approved,
    ev.RiskRejected: _about("risk refuses, {body.code}: {body.message}"),
    ev.OrderCreated: Words.created,
    ev.OrderDenied: Words.denied,
    ev.OrderHeld: Words.held,
    ev.OrderSent: _about("{body.order} sent, it may have left"),
    ev.OrderAccepted: Words.accepted,
    ev.OrderTriggered: _about("{body.order}: the venue says that its trigger was met there"),
    ev.OrderRejected: _about("{body.order} rejected, {body.code}: {body.reason}"),
    ev.TriggerMoved: Words.moved,
    ev.TriggerFired: Words.fired,
    ev.OrderFilled: Words.filled,
    ev.OrderResized: lambda words, event, body: (f"{body.order} is of {number(body.size)} now: {body.reason}", ()),
    ev.OrderAmended: Words.amended,
    ev.AmendRequested: lambda words, event, body: (f"{body.order}: amend asked for, {_changes(body)}", ()),
    ev.AmendRejected: _about("{body.order}: amend refused, {body.reason}"),
    ev.CancelRequested: _about("{body.order}: cancel asked for, it may have left"),
    ev.CancelRejected: _about("{body.order}: cancel refused, {body.reason}"),
    ev.OrderCancelled: _about("{body.order} cancelled: {body.reason}"),
    ev.OrderExpired: _about("{body.order} expired: {body.reason}"),
    ev.OrderUnknown: _about("{body.order} UNKNOWN: {body.evidence}"),
    ev.OrderAsked: _about("{body.order}: the venue was asked, {body.answer}; that proves nothing"),
    ev.OrderAttested: Words.attested,
    ev.SignalReceived: lambda words, event, body: signals.received(event, body),
    ev.SignalWaits: lambda words, event, body: signals.waits(event, body),
    ev.SignalApproved: lambda words, event, body: (f"{asker(event.owner)} approves the signal", ()),
    ev.SignalDeclined: lambda words, event, body: signals.declined(event, body),
    ev.SignalEnded: lambda words, event, body: (signals.ended(body), ()),
    ev.FillCovered: lambda words, event, body: (
        f"{body.order}: fill {body.fill_id}, {number(body.size)} @ {number(body.price)}, is booked already",
        (),
    ),
    ev.PositionDiffers: lambda words, event, body: (
        f"the venue states {number(body.theirs)} {symbol(event.instrument)}, the ledger {number(body.ours)}",
        (),
    ),
    ev.Liquidated: Words.liquidated,
    ev.FundingDue: Words.due,
    ev.FundingPaid: Words.funding,
    ev.LatencyMeasured: Words.latency,
    ev.AlarmRaised: _about("ALARM {body.code}: {body.message}"),
    ev.LeverageChanged: lambda words, event, body: (
        f"leverage of {symbol(event.instrument)} is {body.leverage}x",
        _position(body.position) if body.position is not None else (),
    ),
    ev.MarginChanged: lambda words, event, body: (
        f"margin {signed(body.amount)} on {body.position.id}",
        _position(body.position),
    ),
    ev.FundsMoved: lambda words, event, body: (f"{body.reason}: {signed(body.amount)} {body.asset}", ()),
    ev.KillChanged: lambda words, event, body: (f"kill switch {'on' if body.on else 'off'} {body.reason}".strip(), ()),
    ev.FlattenBegun: lambda words, event, body: (f"flattening {event.account} begins", ()),
    ev.FlattenEnded: lambda words, event, body: (f"{event.account} is flat", ()),
}
