"""The order ticket: fields by keyboard, and what the order would do, in numbers, beside or below them."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.model.command import PlaceOrder
from engine.model.market import Side
from engine.model.order import OrderType
from engine.views import InstrumentView, Preview
from widgets.pane import BLANK, Line, Pane, Run, Tone, faded, merged
from widgets.text import DASH, left, right
from widgets.ticket_form import CHOICES, EXTRA_KEYS, NO, Field, TicketError, fields_for, least_size, nudged, order

__all__ = ["Field", "TicketError", "TicketPane"]

_LABEL = 12
_SIDE_BY_SIDE = 64
"""Width from which the preview stands beside the fields."""
_EMPTY: dict[Field, str] = {field: CHOICES[field][0] if field in CHOICES else "" for field in Field}


class TicketPane(Pane[Preview]):
    """One order in the making. Enter asks for the preview; nothing is sent from here."""

    TITLE = "ticket"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j,tab", "field_move(1)", "Next", id="ticket.next", tooltip="Next field", show=False),
        Binding(
            "up,k,shift+tab", "field_move(-1)", "Previous", id="ticket.previous", tooltip="Previous field", show=False
        ),
        Binding(
            "right,l,plus,space", "value_step(1)", "More", id="ticket.more", tooltip="Next choice, a tick or step up"
        ),
        Binding(
            "left,h,minus", "value_step(-1)", "Less", id="ticket.less", tooltip="Choice before, a tick or step down"
        ),
        Binding("backspace", "value_shorten", "Erase", id="ticket.erase", tooltip="Erase a character", show=False),
        Binding("delete", "value_clear", "Clear", id="ticket.clear", tooltip="Clear the field", show=False),
        Binding("enter", "request_preview", "Preview", id="ticket.preview", tooltip="Show what the order would do"),
        Binding("escape", "leave_ticket", "Leave", id="ticket.leave", tooltip="To the next pane; the draft stays"),
    ]

    @dataclass
    class DraftChanged(Message):
        """A field changed; the preview shown no longer belongs to it."""

    @dataclass
    class PreviewRequested(Message):
        """The draft is complete and its preview is wanted."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._instrument: InstrumentView | None = None
        self._draft: dict[Field, str] = dict(_EMPTY)
        self._field = Field.SIZE
        self._replace = True
        self._error: TicketError | None = None
        self._outdated = False
        self._quoted = ""
        """Id of the instrument the best prices are of."""
        self._bid: str | None = None
        self._ask: str | None = None

    # --- what the app calls ---

    def open(self, side: Side | str, instrument: InstrumentView, price: str | None = None) -> None:
        """Begin an order: with a price a limit order, else at market. The last size and leverage of the instrument stay."""
        kept = self._draft if self._instrument is not None and self._instrument.id == instrument.id else None
        self._instrument = instrument
        ask = self._ask if self._quoted == instrument.id else None
        self._draft = {
            **_EMPTY,
            Field.SIDE: Side(side),
            Field.TYPE: OrderType.LIMIT if price else OrderType.MARKET,
            Field.SIZE: kept[Field.SIZE] if kept else least_size(instrument, price or ask),
            Field.LEVERAGE: kept[Field.LEVERAGE] if kept else str(instrument.leverage),
            Field.PRICE: price or "",
        }
        self._field, self._replace, self._view = Field.SIZE, True, None
        self.border_title = f"{self.TITLE} {instrument.symbol}"
        self._changed()

    def aim(self, instrument_id: str) -> None:
        """Another instrument is on screen: a draft of the last one ends, it would trade what no title names."""
        if self._instrument is not None and self._instrument.id != instrument_id:
            self.end_draft()

    def end_draft(self) -> None:
        """Nothing is drafted any more."""
        self._instrument, self._draft, self._view = None, dict(_EMPTY), None
        self.border_title = self.TITLE
        self._changed()

    def show_quote(self, instrument_id: str, bid: str | None, ask: str | None) -> None:
        """Best prices of an instrument: what a size in money is converted with, and where an empty price starts."""
        self._quoted, self._bid, self._ask = instrument_id, bid, ask

    def show_preview(self, preview: Preview | None) -> None:
        """The answer to DraftChanged or PreviewRequested."""
        if preview is self._view and not self._outdated:
            return
        self._view, self._outdated = preview, False
        self.redraw()

    def draft(self) -> dict[str, str]:
        """The texts of the fields that matter, by field name."""
        return {field.value: self._draft[field] for field in fields_for(self._draft)}

    def command(self, request_id: str) -> PlaceOrder:
        """The order as typed; raises TicketError and shows it at its field."""
        if self._instrument is None:
            raise TicketError(Field.SIZE, "", "open a ticket on an instrument first")
        try:
            placed = order(self._draft, self._instrument, self._quote(), request_id)
        except TicketError as error:
            self._set_error(error)
            raise
        self._set_error(None)
        return placed

    # --- keys ---

    def on_key(self, event: events.Key) -> None:
        """Digits edit the field under the cursor; the first after a move replaces what was there."""
        char = event.character or ""
        if not self._takes(char):
            return
        event.stop()
        event.prevent_default()
        if self._field in CHOICES:
            number = int(char) - 1 if char.isdecimal() else -1
            if 0 <= number < len(CHOICES[self._field]):
                self._set(CHOICES[self._field][number])
            return
        text = char if self._replace else self._draft[self._field] + char
        self._replace = False
        self._set(text)

    def on_paste(self, event: events.Paste) -> None:
        """What the field takes is as if typed; anything else is said, not half of it taken."""
        event.stop()
        text = " ".join(event.text.split())
        if not text or self._instrument is None:
            return
        if self._field in CHOICES or not all(map(self._takes, text)):
            self.notify(f"Not pasted: {text[:20]!r} is no {self._field}", severity="warning", markup=False)
            return
        kept = "" if self._replace else self._draft[self._field]
        self._replace = False
        self._set(kept + text)

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Digits belong to the ticket, not to the panes' numbers."""
        return self._takes(character or "")

    def _takes(self, char: str) -> bool:
        if len(char) != 1:
            return False
        return (char.isdecimal() and char.isascii()) or char == "." or char in EXTRA_KEYS.get(self._field, "")

    def action_field_move(self, by: int) -> None:
        """To another field, round and round."""
        fields = fields_for(self._draft)
        self._field = fields[(fields.index(self._field) + by) % len(fields)]
        self._replace = True
        self.redraw()

    def action_value_step(self, by: int) -> None:
        """The next choice, or one tick, step or unit."""
        text = self._draft[self._field]
        if choices := CHOICES.get(self._field):
            self._set(choices[(choices.index(text) + by) % len(choices)])
        elif self._instrument is not None:
            self._set(nudged(self._field, text, by, self._instrument, self._quote()))

    def action_value_shorten(self) -> None:
        """Erase the last character."""
        if self._field not in CHOICES:
            self._replace = False
            self._set(self._draft[self._field][:-1])

    def action_value_clear(self) -> None:
        """Empty the field."""
        if self._field not in CHOICES:
            self._set("")

    def action_request_preview(self) -> None:
        """Ask for the preview when the draft can be read."""
        try:
            self.command("draft")
        except TicketError as error:
            if error.field in fields_for(self._draft):
                self._field, self._replace = error.field, True
                self.redraw()
            return
        self._replace = True  # who comes back from the preview types a new number
        self.redraw()
        self.post_message(self.PreviewRequested())

    def action_leave_ticket(self) -> None:
        """Give the keys to the next pane: here tab and digits belong to the fields."""
        self.screen.focus_next()

    def _quote(self) -> str | None:
        if self._instrument is None or self._quoted != self._instrument.id:
            return None
        return self._ask if self._draft[Field.SIDE] == Side.BUY else self._bid

    def _set(self, text: str) -> None:
        if text != self._draft[self._field]:
            self._draft[self._field] = text
            self._changed()
        else:
            self.redraw()

    def _changed(self) -> None:
        self._error = None
        self._outdated = True
        self.redraw()
        self.post_message(self.DraftChanged())

    def _set_error(self, error: TicketError | None) -> None:
        if str(error) != str(self._error):
            self._error = error
            self.redraw()

    # --- drawing ---

    def draw(self, width: int, height: int) -> list[Line]:
        """Fields with the preview beside them, or below when the pane is narrow."""
        if self._instrument is None:
            return [Line(((Tone.DIM, left(" b buys, s sells", width)),))]
        if width >= _SIDE_BY_SIDE:
            half = min(width // 2, 40)
            fields, _ = self._field_lines(self._instrument, half - 1)
            return _beside(_window(fields, 0, height), self._preview_lines(width - half - 1)[:height], half)
        fields, at = self._field_lines(self._instrument, width)
        preview = self._preview_lines(width - 1)
        room = max(height - len(preview), min(len(fields), (height + 1) // 2))
        shown = _window(fields, at, min(room, len(fields)))
        return [*shown, *preview[: max(height - len(shown), 0)]]

    def _field_lines(self, instrument: InstrumentView, width: int) -> tuple[list[Line], int]:
        lines: list[Line] = []
        at = 0
        for field in fields_for(self._draft):
            here = field is self._field
            if here:
                at = len(lines)
            lines.append(self._field_line(field, instrument, here and self.has_focus, width))
            if self._error is not None and self._error.field is field:
                said = f"✗ {self._error.value or 'empty'}: {self._error.remedy}"
                lines += [Line(((Tone.BAD, f"  {part}"),)) for part in wrap(said, max(width - 2, 10))]
        return lines, at

    def _field_line(self, field: Field, instrument: InstrumentView, here: bool, width: int) -> Line:
        text = self._draft[field]
        runs: list[Run] = [(Tone.ACCENT if here else Tone.DIM, ("▸ " if here else "  ") + left(field, _LABEL))]
        if field in CHOICES:
            tone = Tone.PLAIN
            if field is Field.SIDE:
                tone = Tone.UP if text == Side.BUY else Tone.DOWN
            word = text.lower().replace("_", " ") if field is Field.TYPE else text
            runs.append((tone if text != NO else Tone.DIM, f"‹ {word} ›" if here else f"  {word}"))
            return merged(runs, here)
        room = max(width - _LABEL - 5, 1)
        # Of a number that is too long the end is seen: there it is typed.
        shown = text if len(text) <= room else "…" + text[1 - room :]
        if here and self._replace and text:
            runs += [(Tone.PLAIN, "  "), (Tone.SELECTED, shown)]
        else:
            runs.append((Tone.PLAIN, f"  {shown}" + ("▏" if here else "" if text else DASH)))
        # A remark that is cut reads as another one: 12 of 125.
        remark = f" {self._unit(field, text, instrument)}"
        if sum(len(said) for _, said in (*runs, (Tone.DIM, remark))) <= width:
            runs.append((Tone.DIM, remark))
        return merged(runs, here)

    def _unit(self, field: Field, text: str, instrument: InstrumentView) -> str:
        if field is Field.SIZE:
            return instrument.quote if text.endswith("u") else instrument.base
        if field is Field.LEVERAGE:
            return f"x (max {instrument.max_leverage})"
        if field is Field.TRAIL:
            return "" if text.endswith("%") else instrument.quote if text else "120 or 0.5%"
        return instrument.quote if text else ""

    def _preview_lines(self, width: int) -> list[Line]:
        """Errors and warnings first: they must not be the part that is cut."""
        if self._view is None:
            return [BLANK, Line(((Tone.DIM, left("  enter: preview", width)),))]
        lines = [BLANK, Line(((Tone.HEAD, left(f"  {self._view.title}", width)),))]
        for sign, tone, said in ("✗", Tone.BAD, self._view.errors), ("!", Tone.WARN, self._view.warnings):
            for text in said:
                lines += [Line(((tone, f"  {part}"),)) for part in wrap(f"{sign} {text}", max(width - 2, 10))]
        for label, value in self._view.rows:
            lines += _labelled(label, value, width)
        return [faded(line) for line in lines] if self._outdated else lines


def _labelled(label: str, value: str, width: int) -> list[Line]:
    """Label and value on one line; too narrow for both, the remark after two blanks goes, then the value wraps."""
    room = max(width - len(label) - 4, 8)
    said = value if len(value) <= room else value.partition("  ")[0]
    first, *rest = wrap(said, room) or [""]
    lines = [Line(((Tone.DIM, f"  {label}"), (Tone.PLAIN, right(first, width - len(label) - 2))))]
    return lines + [Line(((Tone.PLAIN, "  " + right(part, width - 2)),)) for part in rest]


def _window(lines: list[Line], at: int, height: int) -> list[Line]:
    """So many lines, with the one at `at` among them."""
    top = max(min(at - height // 2, len(lines) - height), 0)
    return lines[top : top + height]


def _beside(one: list[Line], other: list[Line], width: int) -> list[Line]:
    """Two columns; the first padded to its width. The cursor's background stays away: it would cross the preview."""
    lines = []
    for y in range(max(len(one), len(other))):
        first = one[y] if y < len(one) else BLANK
        second = other[y] if y < len(other) else BLANK
        pad = max(width - len(first.text), 0)
        lines.append(merged((*first.runs, (Tone.PLAIN, " " * pad), *second.runs)))
    return lines
