"""The two lines every screen carries: where one is, what the prices are, what the engine will still do."""

from __future__ import annotations

from engine.model.market import StreamState
from engine.views import REHEARSAL, Mode, StatusView
from engine.views.format import clean
from widgets.pane import Line, LinesWidget, Palette, Part, Tone, packed
from widgets.positions import gain_tone
from widgets.text import SHORT, known, left, signed

SLOW_MS = 1_000
"""An engine silent for longer is warned about."""
_ENVIRONMENTS = {"sim": Tone.SIM, "paper": Tone.PAPER, "live": Tone.LIVE}
_NAME = 12
"""Cells for the name of the screen that holds the hand."""
_NOTHING = Part(99, Tone.PLAIN, "")
_FIRST = -1
"""Rank of what no crowd of alarms takes off the line: where orders would go, and whether they may."""


class HeaderPalette(Palette):
    """Tones over the colour of the environment."""


class HeaderBar(LinesWidget):
    """Environment, prices, symbol and pane with the keys, kill and arm; below them link, equity, day PnL, streams."""

    DEFAULT_CSS = """
    HeaderBar {
        height: 2;
    }
    """
    PALETTE = HeaderPalette

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._lines_of: tuple[tuple[Part, ...], tuple[Part, ...]] = ((), ())

    def show(
        self,
        status: StatusView | None,
        *,
        symbol: str = "",
        pane: str = "",
        heartbeat_age_ms: int | None = None,
        link_state: str = "",
        link_detail: str = "",
        has_hand: bool = False,
    ) -> None:
        """Draw the state of the engine (None before the first) and of the link to it."""
        link = self._link_parts(heartbeat_age_ms, link_state, link_detail)
        heard = link_state in ("", "connected") and (heartbeat_age_ms or 0) <= SLOW_MS
        place = Part(1, Tone.PLAIN, _place(symbol, pane), _place(symbol, SHORT.get(pane, pane)))
        if status is None:
            self._lines_of = ((Part(0, Tone.WARN, " NO ENGINE "), place), link)
        else:
            self._lines_of = (
                _safety(status, place, has_hand),
                (*_mode(status), *_told(status), *link, *_money(status, heard)),
            )
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """Both lines, least important parts dropped."""
        return [packed(parts, width) for parts in self._lines_of[:height]]

    def _link_parts(self, age_ms: int | None, state: str, detail: str) -> tuple[Part, ...]:
        if state not in ("", "connected"):
            return (Part(0, Tone.ALARM, f" {state.upper()} "), Part(3, Tone.WARN, clean(detail)))
        if age_ms is None:
            return (Part(2, Tone.WARN, " engine –"),)
        if age_ms > SLOW_MS:
            return (Part(0, Tone.WARN, f" engine silent {age_ms / 1_000:.0f} s"),)
        # A figure that moves at every beat would repaint the line for nothing: healthy is healthy.
        return (Part(2, Tone.DIM, " engine ✓"),)


def _place(symbol: str, pane: str) -> str:
    return f"{symbol} › {pane}" if symbol and pane else symbol or pane


def _short_prices(text: str) -> str:
    return text.partition(",")[0].replace("SIMULATED", "SIM")


def _safety(view: StatusView, place: Part, has_hand: bool) -> tuple[Part, ...]:
    return (
        Part(_FIRST, _ENVIRONMENTS.get(view.env, Tone.PLAIN), f" {view.env.upper()} "),
        Part(0, Tone.WARN, REHEARSAL, REHEARSAL.partition(",")[0]) if view.rehearsal else _NOTHING,
        Part(0, Tone.WARN if "SIMULATED" in view.prices else Tone.PLAIN, view.prices, _short_prices(view.prices)),
        place,
        Part(_FIRST, Tone.ALARM, " KILL ON ", " KILL ") if view.kill else Part(1, Tone.DIM, "kill off"),
        _count("UNKNOWN", "UNK", view.unknown),
        _count("DIFFERS", "DIF", view.differs),
        Part(0, Tone.UNKNOWN, f" F4 APPROVE {view.approvals} ", f" F4: {view.approvals} ")
        if view.approvals
        else _NOTHING,
        *_hand(view, has_hand),
        Part(3, Tone.WARN, "PAUSED") if view.paused else _NOTHING,
        Part(6, Tone.DIM, f"feed {view.feed}"),
        Part(5, Tone.ACCENT, f"● rec {clean(view.recording)}") if view.recording else _NOTHING,
        Part(5, Tone.WARN, clean(view.kill_reason)) if view.kill else _NOTHING,
    )


def _hand(view: StatusView, has_hand: bool) -> tuple[Part, ...]:
    """Whether this keyboard may enter. Armed is the screen with the hand; the others watch, whatever that one may."""
    if has_hand:
        return (
            Part(_FIRST, Tone.WARN, "● ARMED") if view.armed else Part(_FIRST, Tone.DIM, "○ disarmed"),
            Part(4, Tone.DIM, "hand: you"),
        )
    if not view.screens:  # a moment of the past: nobody watched it like this
        return Part(_FIRST, Tone.DIM, "○ disarmed"), Part(4, Tone.WARN, "hand: nobody")
    name = clean(view.hand) or "nobody"
    name = left(name, _NAME).rstrip()
    return (Part(_FIRST, Tone.WARN, f"watching, hand: {name}", f"hand: {name}"),)


def _mode(view: StatusView) -> tuple[Part, ...]:
    if view.mode is Mode.OK:
        return ()
    words = "EXITS ONLY" if view.mode is Mode.EXITS_ONLY else "READ ONLY"
    return (Part(0, Tone.ALARM, f" {words} "), Part(2, Tone.WARN, clean(view.mode_reason)))


def _count(word: str, short: str, found: tuple[str, ...]) -> Part:
    return Part(0, Tone.ALARM, f" {word} {len(found)} ", f" {short} {len(found)} ") if found else _NOTHING


def _told(view: StatusView) -> tuple[Part, ...]:
    """What is not known, the worst first: it is what the second line is read for."""
    return tuple(Part(1, Tone.WARN, clean(text)) for text in (*view.unknown[:1], *view.differs[:1]))


def _money(view: StatusView, heard: bool) -> tuple[Part, ...]:
    return (
        Part(1, Tone.PLAIN, f"equity {known(view.equity)} {view.asset}"),
        Part(1, gain_tone(view.day_pnl_sign), f"day {signed(view.day_pnl, view.day_pnl_sign)}"),
        # An engine that is not heard says nothing of its streams: what was well then may not be now.
        _streams(view) if heard else _NOTHING,
        Part(5, Tone.DIM, f"pos {view.open_positions} ord {view.open_orders}"),
        Part(6, Tone.WARN, f"dropped {view.dropped}") if view.dropped else _NOTHING,
        Part(7, Tone.DIM, f"{view.ticks_per_second}/s") if heard else _NOTHING,
        Part(8, Tone.DIM, clean(view.recovery)) if view.recovery else _NOTHING,
    )


def _streams(view: StatusView) -> Part:
    live = sum(stream.state == StreamState.LIVE for stream in view.streams)
    bad = next((s for s in view.streams if s.state not in (StreamState.LIVE, StreamState.ENDED)), None)
    bad = bad or next((s for s in view.streams if s.state == StreamState.ENDED), None)
    if bad is not None:
        return Part(1, Tone.WARN, f"{bad.stream} {bad.state} ({live}/{len(view.streams)} live)")
    if view.streams:
        return Part(4, Tone.DIM, f"streams {live}/{len(view.streams)} ✓")
    return Part(2, Tone.WARN, "no streams")
