"""A chain of events told: its title, where it began, and its steps with the numbers compared and the time between them."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby

from msgspec.structs import replace

from engine.ledger.errors import LedgerBroken
from engine.ledger.why import signals
from engine.ledger.why.gather import Found, order_of
from engine.ledger.why.plain import asker, number, symbol
from engine.ledger.why.reader import Row
from engine.ledger.why.words import ENDINGS, Words
from engine.model import event as ev
from engine.model.command import PlaceOrder
from engine.model.event import Check, Event
from engine.model.market import Side
from engine.model.order import Role
from engine.views.why import Answer, Compared, Origin, OriginKind, Step

_RUN = 6
"""Like events in a row of which only the first and the last are told."""
_NAMED = 5
"""Damaged events that the title names."""
_BELOW = {"loss today": "<"}
"""Rules that a value must stay below; any other it may reach."""


def tell(found: Found) -> Answer:
    """The answer to a why; raises LedgerBroken where a row of a table is not as it was written."""
    try:
        return _answer(found)
    except (ArithmeticError, ValueError) as error:
        row = f"what orders, positions or trades say of {found.id} is not as it was written"
        raise LedgerBroken("projections", f"{row} ({error!r}); hoox ledger verify says more") from None


def _answer(found: Found) -> Answer:
    title = _title(found)
    if found.damaged:
        named = ", ".join(str(seq) for seq in sorted(found.damaged)[:_NAMED])
        title = f"DAMAGED, not all of this is what was written (event {named}); hoox ledger verify says more. {title}"
    return Answer(found.kind, found.id, title, _origin(found), _steps(found), found.also, tuple(sorted(found.damaged)))


# --- Where it began -----------------------------------------------------------------------------------


def _origin(found: Found) -> Origin:
    root = found.root
    body, owner = root.body, root.owner
    if isinstance(body, ev.Liquidated):
        text, _ = Words({}).say(root)
        return Origin(OriginKind.MARKET, "", f"{text[0].upper()}{text[1:]}.")
    kind = _kind(owner)
    if isinstance(body, ev.SignalReceived):
        said = f"{_upper(asker(owner))} asked for it, signal {root.request_id}.{_approved(found)}{_set_off(found)}"
        return Origin(kind, owner, said)
    if isinstance(body, ev.IntentCreated):
        return Origin(kind, owner, f"{_upper(asker(owner))} asked for it, request {root.request_id}.{_set_off(found)}")
    if isinstance(body, ev.OrderCreated) or (kind is OriginKind.VENUE and body is not None):
        return Origin(OriginKind.VENUE, owner, "Nobody here asked for it: it was done at the venue.")
    if owner:
        return Origin(kind, owner, f"{_upper(asker(owner))} asked for it.")
    if isinstance(body, ev.FundingDue | ev.PositionDiffers | ev.PositionAgreed):
        return Origin(OriginKind.VENUE, owner, "Nobody here asked for it: it was done at the venue.")
    return Origin(OriginKind.ENGINE, "", "Nobody asked: the engine recorded it by itself.")


def _kind(owner: str) -> OriginKind:
    kind = owner.partition(":")[0]
    known = {"source": OriginKind.SOURCE, "strategy": OriginKind.STRATEGY, "venue": OriginKind.VENUE}
    return known.get(kind, OriginKind.PERSON if owner else OriginKind.ENGINE)


def _approved(found: Found) -> str:
    """Who let the signal trade that it began with."""
    signal = found.root.request_id
    said = (e for e in found.events if isinstance(e.body, ev.SignalApproved) and e.body.signal == signal)
    return "".join(f" {_upper(asker(event.owner))} approved it." for event in said)


def _set_off(found: Found) -> str:
    """What the market had to do with it: it met the trigger of the order asked about, or ended the position asked about."""
    words, about, said = Words(found.orders), _about(found), ""
    for event in found.events:
        text, _ = words.say(event)
        match event.body:
            case ev.TriggerFired(order=order) if order == about:
                said = f" The market set it off: {text}."
            case ev.Liquidated(position=position) if position == found.id:
                said = f" {_upper(text.removeprefix('nobody asked, '))}."
    return said


def _about(found: Found) -> str:
    """The order whose trigger explains the row."""
    row = found.row
    if row is None:
        return ""
    if found.kind == "trade":
        return str(row["order_id"])
    if found.kind == "position":
        fills = [event.body for event in found.events if isinstance(event.body, ev.OrderFilled)]
        return next((fill.order for fill in reversed(fills) if fill.position.id == found.id and fill.closing), "")
    return str(row["id"])


# --- What it is -----------------------------------------------------------------------------------------


def _title(found: Found) -> str:
    row = found.row
    if row is not None and found.until is not None and row.get("seq", 0) > found.until:
        # Its row says what became of it later.
        return f"{found.kind.capitalize()} {found.id}, as it was after event {found.until}"
    match found.kind:
        case "order" | "fill" if row is not None:
            title = _order(row)
            return title if found.kind == "order" else f"Fill {found.id} of {title}"
        case "trade" if row is not None:
            size = f"{row['quantity']:g} @ {row['price']:g}, fee {row['fee']:g}" if row["quantity"] else "–"
            return f"Trade {found.id}: {row['action']} {row['symbol']}, {row['side'].lower()} {size}, {row['status']}"
        case "position" if row is not None:
            return _position(row)
        case "signal":
            return signals.title(found.events, found.id)
        case "request":
            return f"Request {found.id}"
    event = next((event for event in found.events if event.seq in found.asked), found.root)
    return f"Event {event.seq}, {event.type}"


def _order(row: Row) -> str:
    kind, size, filled = row["type"].replace("_", " ").lower(), Decimal(row["size"]), Decimal(row["filled"])
    at = f" @ {number(Decimal(row['value']) / filled)}" if filled else ""
    done = f", {number(filled)} filled{at}" if filled else ""
    reason = f": {row['reason']}" if row["reason"] and row["status"] != "FILLED" else ""
    return f"Order {row['id']}: {row['side'].lower()} {number(size)} {symbol(row['instrument'])} {kind}, {row['status']}{done}{reason}"


def _position(row: Row) -> str:
    size = Decimal(row["size"])
    name = f"Position {row['id']}: {symbol(row['instrument'])}"
    if size:
        return f"{name}, {'long' if size > 0 else 'short'} {number(abs(size))}, open"
    net = Decimal(row["realised"]) - Decimal(row["fees"]) + Decimal(row["funding"]) + Decimal(row["insurance"])
    reason = "an opposite order" if row["exit_reason"] == Role.ENTRY else row["exit_reason"].replace("_", " ")
    return f"{name}, closed by {reason or 'a fill'}, net {'+' if net > 0 else ''}{number(net)}"


# --- Steps ----------------------------------------------------------------------------------------------


def _steps(found: Found) -> tuple[Step, ...]:
    words, sides, crowd = Words(found.orders), _sides(found), _crowd(found)
    steps: list[Step] = []
    before: Event | None = None
    for run in _runs(found, crowd):
        damage = found.damaged.get(run[0].seq, "")
        for event, step in _told(run, words, sides, crowded=order_of(run[0]) in crowd and not damage):
            steps.append(replace(_since(before, event, step), asked=event.seq in found.asked, damage=damage))
            before = event
    return tuple(steps)


def _since(before: Event | None, event: Event, step: Step) -> Step:
    """A step with the time since the one before, and an engine that was started in between."""
    if before is None:
        return step
    step = replace(step, after_ns=event.time_ns - before.time_ns)
    if event.epoch == before.epoch:
        return step
    started = ("engine", f"start {event.epoch} of it; what is above was start {before.epoch}")
    return replace(step, facts=(*step.facts, started))


def _told(run: list[Event], words: Words, sides: dict[str, Side], crowded: bool) -> list[tuple[Event, Step]]:
    """The steps of a run, each with the event it is of."""
    if not crowded and len(run) <= _RUN:
        return [(event, _step(event, words, sides)) for event in run]
    first = [] if crowded else [(run[0], _step(run[0], words, sides))]
    for event in run[len(first) : -1]:
        words.say(event)
    last = _step(run[-1], words, sides)
    return [*first, (run[-1], _that_stood(run, last) if crowded else _last_of(run, last))]


def _crowd(found: Found) -> frozenset[str]:
    """The long middle of a protection that ended and stood again, over and over; never what was asked about."""
    made = {
        e.body.terms.id: e for e in found.events if isinstance(e.body, ev.OrderCreated) and e.body.terms.reduce_only
    }
    there = {event.seq: event for event in found.events}
    earlier: dict[str, str] = {}
    for order, created in made.items():
        ended = there.get(created.seq - 1)
        if ended is not None and ended.type in ENDINGS and ended.request_id == created.request_id:
            earlier[order] = order_of(ended)
    asked = {order_of(there[seq]) for seq in found.asked} | {found.id}
    crowd: set[str] = set()
    for last in made.keys() - set(earlier.values()):
        line = [last]
        while line[-1] in earlier:
            line.append(earlier[line[-1]])
        if len(line) > _RUN:
            crowd.update(line[2:-2])
    return frozenset(crowd - asked)


def _runs(found: Found, crowd: frozenset[str]) -> list[list[Event]]:
    """Events that follow each other; like ones about one order together, unless one was asked about or is damaged.

    Orders whose making is not told are one crowd: a day's fills of a position, a thousand cancels of one request.
    """
    made = {event.body.terms.id for event in found.events if isinstance(event.body, ev.OrderCreated)}

    def like(event: Event) -> tuple[object, ...]:
        order = order_of(event)
        if event.seq in found.damaged:
            return (event.seq,)
        if order in crowd:
            return ("stood again", event.request_id, event.epoch)
        alone = event.seq if event.seq in found.asked and found.kind in ("fill", "event") else 0
        return (event.type, order if order in made else event.instrument, event.epoch, alone)

    return [list(run) for _, run in groupby(found.events, like)]


def _that_stood(run: list[Event], last: Step) -> Step:
    """The middle of a protection's line of orders."""
    orders = list(dict.fromkeys(order_of(event) for event in run))
    between = f"{orders[0]} to {orders[-1]}" if len(orders) > 1 else orders[0]
    return replace(
        last, text=f"{len(orders)} more that stood again, {between}; the last: {last.text}", count=len(orders)
    )


def _last_of(run: list[Event], step: Step) -> Step:
    """The last step of a run, with what it stands for."""
    count = len(run) - 1
    fills = [event.body for event in run[1:] if isinstance(event.body, ev.OrderFilled)]
    if fills:
        size = sum((fill.size for fill in fills), Decimal())
        value, fees = (
            sum(amounts, Decimal()) for amounts in ((f.price * f.size for f in fills), (f.fee for f in fills))
        )
        told = (
            f"{count} more fills, {number(size)} @ {number(value / size)} on average, fees {number(fees)}; the last: "
        )
    else:
        told = f"{count} more like it, the last: "
    return replace(step, text=told + step.text, count=count)


def _step(event: Event, words: Words, sides: dict[str, Side]) -> Step:
    text, facts = words.say(event)
    body = event.body
    checks = body.checks if isinstance(body, ev.RiskApproved | ev.RiskRejected) else ()
    side = sides.get(event.request_id)
    return Step(
        seq=event.seq,
        time_ns=event.time_ns,
        type=event.type,
        text=text,
        facts=facts,
        checks=tuple(_compared(check, side) for check in checks),
        top=getattr(body, "top", None),
    )


def _sides(found: Found) -> dict[str, Side]:
    """Request -> the side it asked for: a price band is above a buy and below a sell."""
    intents = ((e.request_id, e.body.command) for e in found.events if isinstance(e.body, ev.IntentCreated))
    return {request: command.side for request, command in intents if isinstance(command, PlaceOrder)}


def _compared(check: Check, side: Side | None) -> Compared:
    rule, value, limit = check
    relation = ">=" if rule == "price band" and side is Side.SELL else _BELOW.get(rule, "<=")
    left = Decimal(value) - Decimal(limit) if relation == ">=" else Decimal(limit) - Decimal(value)
    passed = left > 0 if relation == "<" else left >= 0
    return Compared(rule, number(value), relation, number(limit), passed, number(abs(left)))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
