"""The registry of named actions. Bindings, the palette, the help and the key hints are all made from it.

A key is remappable by its action's id. Only plain keys, shift-letters and F-keys: the rest do not survive tmux and many
terminals (tui-style 3). `PRIORITY` keys work from text fields and over modals.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from textual.binding import Binding


class Scope(StrEnum):
    """Where an action is bound."""

    EVERYWHERE = "everywhere"
    """On the app, with priority: text fields and modals do not swallow it."""
    APP = "app"
    DESK = "desk"
    TRAVEL = "travel"
    SIGNALS = "signals"


class Action(Struct, frozen=True):
    """A named action; `group` is its heading in the palette and `danger` says it can reach a venue, through a preview."""

    id: str
    keys: str
    action: str
    label: str
    help: str
    scope: Scope
    group: str = "view"
    danger: bool = False


_E, _A, _D = Scope.EVERYWHERE, Scope.APP, Scope.DESK

ACTIONS: tuple[Action, ...] = (
    # Trade
    Action("trade.buy", "b", "open_ticket('BUY')", "Buy", "Order ticket, buy side, prefilled", _D, "trade"),
    Action("trade.sell", "s", "open_ticket('SELL')", "Sell", "Order ticket, sell side, prefilled", _D, "trade"),
    Action("trade.arm", "a", "toggle_arm", "Arm", "Arm or disarm entries from this keyboard", _A, "trade"),
    Action(
        "trade.close",
        "x",
        "close_position",
        "Close",
        "Close the selected position: a preview, 1 2 3 4 = 25 50 75 100 %",
        _D,
        "trade",
        True,
    ),
    Action("trade.edit", "e", "edit_selection", "Edit", "Edit an order, or a position's TP and SL", _D, "trade"),
    Action(
        "trade.breakeven",
        "m",
        "move_stop",
        "Break-even",
        "Move the position's stop to its entry price",
        _D,
        "trade",
        True,
    ),
    Action("trade.cancel", "c", "cancel_order", "Cancel", "Cancel the selected order", _D, "trade", True),
    Action(
        "trade.cancel_symbol",
        "C",
        "cancel_symbol",
        "Cancel symbol",
        "Cancel this symbol's orders: limits, stops or all",
        _D,
        "trade",
        True,
    ),
    Action(
        "trade.panic",
        "!",
        "open_panic('cancel')",
        "Panic",
        "Panic sheet: cancel all, flatten all, kill switch",
        _A,
        "trade",
        True,
    ),
    Action(
        "trade.cancel_all",
        "f8",
        "open_panic('cancel')",
        "Cancel all",
        "Panic sheet on cancel all, from everywhere",
        _E,
        "trade",
        True,
    ),
    Action(
        "trade.flatten_all",
        "f9",
        "open_panic('flatten')",
        "Flatten all",
        "Panic sheet on flatten all, from everywhere",
        _E,
        "trade",
        True,
    ),
    Action("trade.kill", "K", "open_panic('kill')", "Kill switch", "Preview of the kill switch", _A, "trade", True),
    Action(
        "trade.attest", "u", "attest_order", "Attest", "Say what became of an order of unknown outcome", _D, "trade"
    ),
    Action("trade.hand", "H", "take_hand", "Take hand", "Take the trading hand from another screen", _A, "trade"),
    # View
    Action("view.desk", "f2", "show_desk", "Desk", "Back to the desk", _E, "view"),
    Action(
        "view.signals", "f4", "open_signals", "Signals", "The signal inbox: what came, what waits for you", _A, "view"
    ),
    Action("view.maximize", "z", "toggle_maximize", "Maximize", "Maximize or restore the focused pane", _D, "view"),
    Action("view.centre", "space", "centre_ladder", "Re-centre", "Centre the ladder on the spread", _D, "view"),
    Action("view.shorter", "[", "step_timeframe(-1)", "Shorter", "Shorter candles", _D, "view"),
    Action("view.longer", "]", "step_timeframe(1)", "Longer", "Longer candles", _D, "view"),
    Action("view.why", "w", "explain_row", "Why", "Why the selected row is there: what led to it", _D, "view"),
    Action("view.copy", "y", "copy_row", "Copy", "Copy the selected row to the clipboard (OSC 52)", _D, "view"),
    Action("view.symbol", "/", "search_symbol", "Symbol", "Choose the symbol", _D, "view"),
    Action("view.travel", "T", "open_travel", "Time travel", "The desk as it was: nothing there trades", _A, "view"),
    Action("view.pause", "p", "toggle_pause", "Pause", "Pause the display, never the engine", _A, "view"),
    Action("view.next_theme", "t", "next_theme", "Theme", "Next colour theme", _A, "view"),
    *(
        Action(f"view.pane{n}", str(n), f"focus_pane({n})", f"Pane {n}", "Focus a pane by its number", _D, "view")
        for n in range(1, 10)
    ),
    # Help
    Action("help.keys", "?", "open_help", "Help", "What the keys do here", _A, "help"),
    Action("help.everywhere", "f1", "open_help", "Help", "What the keys do here, from everywhere", _E, "help"),
    Action("help.palette", "ctrl+p,:", "command_palette", "Palette", "Find any action by name", _A, "help"),
    Action("help.quit", "Q,ctrl+c", "ask_quit", "Quit", "Quit; says what stops and what stays open", _A, "help"),
)

_T = Scope.TRAVEL

TRAVEL: tuple[Action, ...] = (
    Action("travel.on", "right,l", "step(1)", "Event", "One event on", _T, "travel"),
    Action("travel.back", "left,h", "step(-1)", "Event", "One event back", _T, "travel"),
    Action("travel.minute_on", "pagedown", "by(60)", "Minute", "A minute on", _T, "travel"),
    Action("travel.minute_back", "pageup", "by(-60)", "Minute", "A minute back", _T, "travel"),
    Action("travel.hour_on", "greater_than_sign,shift+right", "by(3600)", "Hour", "An hour on", _T, "travel"),
    Action("travel.hour_back", "less_than_sign,shift+left", "by(-3600)", "Hour", "An hour back", _T, "travel"),
    Action("travel.first", "home", "first", "First", "The first event", _T, "travel"),
    Action("travel.last", "end", "last", "Last", "The last event, with what was written meanwhile", _T, "travel"),
    Action("travel.go", "g", "go_to", "Go to", "Go to a time or an event's number", _T, "travel"),
    Action(
        "travel.kind", "slash", "choose_kind", "Next", "Next event of a kind: fill, trigger, alarm ...", _T, "travel"
    ),
    Action("travel.again", "n", "again(1)", "Again", "The next event of that kind", _T, "travel"),
    Action("travel.before", "N", "again(-1)", "Before", "The event of that kind before this", _T, "travel"),
    Action("travel.maximize", "z", "toggle_maximize", "Maximize", "Maximize or restore the focused pane", _T, "travel"),
    Action("travel.why", "w", "explain_row", "Why", "Why the selected row was there: what had led to it", _T, "travel"),
    Action("travel.copy", "y", "copy_row", "Copy", "Copy the selected row to the clipboard (OSC 52)", _T, "travel"),
    Action("travel.leave", "escape,Q", "leave", "Leave", "Back to the live desk", _T, "travel"),
)
"""What moves through the past. With priority: a focused table keeps only up and down."""

_S = Scope.SIGNALS

SIGNAL_ACTIONS: tuple[Action, ...] = (
    Action(
        "signals.approve", "A", "approve", "Approve", "Preview of the order this signal becomes", _S, "signals", True
    ),
    Action(
        "signals.decline", "D", "decline", "Decline", "Preview of declining what waits; needs the hand", _S, "signals"
    ),
    Action("signals.replay", "R", "replay", "Replay", "Take this signal in anew, in env sim only", _S, "signals", True),
    Action("signals.why", "w", "explain", "Why", "How it came, and what became of it", _S, "signals"),
    Action("signals.copy", "y", "copy_row", "Copy", "Copy it to the clipboard (OSC 52)", _S, "signals"),
)
"""What can be done about one signal, in the inbox and in its detail."""

SIGNALS: tuple[Action, ...] = (
    *SIGNAL_ACTIONS,
    Action("signals.search", "slash", "search", "Search", "Show only what matches some words", _S, "signals"),
    Action("signals.leave", "escape,f4", "leave", "Leave", "Out of the search, else back to the desk", _S, "signals"),
)

PALETTE_HIDDEN = frozenset({"help.everywhere", "help.palette", "view.pause"} | {f"view.pane{n}" for n in range(1, 10)})
"""Not worth a line in the palette: the palette itself, doubles, and what one key does faster."""


def bindings(*scopes: Scope) -> list[Binding]:
    """The bindings of some scopes, in registry order."""
    return [_binding(action, priority=action.scope is Scope.EVERYWHERE) for action in ACTIONS if action.scope in scopes]


def travel_bindings() -> list[Binding]:
    """The keys of time travel, and those that trade elsewhere: in it they only say that they do not."""
    refused = (
        Binding(
            action.keys,
            f"refuse('{action.label}')",
            action.label,
            show=False,
            tooltip="Refused: nothing trades in time travel",
            priority=True,
            id=f"refused.{action.id}",
        )
        for action in ACTIONS
        if action.group == "trade"
    )
    return [*(_binding(action, priority=True) for action in TRAVEL), *refused]


def signal_bindings() -> list[Binding]:
    """The keys of the signals screen."""
    return [binding_of(action) for action in SIGNALS]


def binding_of(action: Action) -> Binding:
    """An action's keys where it has no priority."""
    return _binding(action, priority=False)


def _binding(action: Action, *, priority: bool) -> Binding:
    return Binding(action.keys, action.action, action.label, tooltip=action.help, priority=priority, id=action.id)
