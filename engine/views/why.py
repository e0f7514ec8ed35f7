"""Why a row of the ledger is there: the chain that led to it, and how it reads on a terminal. Numbers are exact texts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from textwrap import wrap
from typing import NamedTuple

from msgspec import Struct

from engine.model.market import Top

SECOND = 1_000_000_000
_SHORT = (("µs", 1_000, 1_000_000), ("ms", 1_000_000, SECOND), ("s", SECOND, 60 * SECOND))
_LONG = (
    ("d", 86_400 * SECOND, "h", 3_600 * SECOND),
    ("h", 3_600 * SECOND, "m", 60 * SECOND),
    ("m", 60 * SECOND, "s", SECOND),
)
_INDENT = 23
_LABEL = 19


class OriginKind(StrEnum):
    """Who or what a chain begins with."""

    PERSON = "person"
    SOURCE = "source"
    STRATEGY = "strategy"
    VENUE = "venue"
    MARKET = "market"
    ENGINE = "engine"


class Origin(Struct, frozen=True):
    """Where the chain begins: `who` is the owner, `text` a sentence."""

    kind: OriginKind
    who: str
    text: str


class Compared(Struct, frozen=True):
    """A risk rule's numbers: `value` had to be `relation` (<= | < | >=) `limit`; `by` is what was left, or what it failed by."""

    rule: str
    value: str
    relation: str
    limit: str
    passed: bool
    by: str


class Step(Struct, frozen=True, omit_defaults=True):
    """One event of the chain, or a run of like ones (`count` > 1, `seq` the last of them)."""

    seq: int
    time_ns: int
    type: str
    text: str
    after_ns: int = 0
    """Since the step before."""
    facts: tuple[tuple[str, str], ...] = ()
    checks: tuple[Compared, ...] = ()
    top: Top | None = None
    """The market at this decision."""
    count: int = 1
    asked: bool = False
    """It is what was asked about."""
    damage: str = ""
    """How it shows that this is not what was written."""


class Answer(Struct, frozen=True, omit_defaults=True):
    """The chain of what was asked about, oldest first; its first step is the origin."""

    kind: str
    """order | fill | trade | position | signal | request | event."""
    id: str
    title: str
    origin: Origin
    steps: tuple[Step, ...]
    also: tuple[str, ...] = ()
    """What else has the name that was asked for, and how to ask for that."""
    damaged: tuple[int, ...] = ()
    """Events of the chain that are not what was written."""


class Text(NamedTuple):
    """A line; `tone` is title | origin | day | step | asked | fact | bad."""

    tone: str
    text: str


def duration(ns: int) -> str:
    """A time between two moments, in the unit a person would use: 41.2 µs, 3.20 ms, 7.05 s, 2m 3s, 4h 5m."""
    if ns < 0:
        return f"-{duration(-ns)}"
    if ns < 1_000:
        return f"{ns} ns"
    for unit, size, most in _SHORT:
        if ns < most:
            value = ns / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    for unit, size, smaller, below in _LONG:
        if ns >= size:
            return f"{ns // size}{unit} {ns % size // below}{smaller}"
    raise AssertionError(ns)


def lines(answer: Answer, width: int = 80) -> list[Text]:
    """The answer as lines of at most `width` cells: a step a line, its numbers indented below."""
    found = [Text("bad" if answer.damaged else "title", line) for line in wrap(answer.title, width)]
    found += [Text("origin", line) for also in answer.also for line in wrap(f"Not meant here: {also}.", width)]
    found += [Text("origin", line) for line in wrap(answer.origin.text, width)]
    day = ""
    top: Top | None = None
    for step in answer.steps:
        moment = datetime.fromtimestamp(step.time_ns // SECOND, UTC)
        if day != (day := moment.strftime("%Y-%m-%d UTC")):
            found.append(Text("day", day))
        found += _step(step, moment, width)
        if step.top is not None and step.top != top:
            top = step.top
            found += _facts(_market(top), width)
        found += _checks(step.checks, width)
        found += _facts(step.facts, width)
    return found


def _step(step: Step, moment: datetime, width: int) -> Iterator[Text]:
    tone = "bad" if step.damage else "asked" if step.asked else "step"
    clock = f"{moment:%H:%M:%S}.{step.time_ns % SECOND // 1_000_000:03d}"
    gap = f"+{duration(step.after_ns)}" if step.after_ns else ""
    mark = "▸" if step.asked else " "
    seq = f" #{step.seq}"
    text = f"DAMAGED, {step.damage}. It says: {step.text}" if step.damage else step.text
    first, *rest = wrap(text, width - _INDENT - len(seq)) or [""]
    yield Text(tone, f"{clock}{gap:>9} {mark}{first:<{width - _INDENT - len(seq)}}{seq}")
    for line in rest:
        yield Text(tone, " " * _INDENT + line)


def _facts(facts: tuple[tuple[str, str], ...], width: int) -> Iterator[Text]:
    for label, value in facts:
        first, *rest = wrap(value, width - _INDENT - _LABEL) or [""]
        yield Text("fact", f"{'':{_INDENT}}{label:<{_LABEL}}{first}")
        for line in rest:
            yield Text("fact", " " * (_INDENT + _LABEL) + line)


def _checks(checks: tuple[Compared, ...], width: int) -> Iterator[Text]:
    for check in checks:
        verdict = f"{check.by} to spare" if check.passed else f"FAILED by {check.by}"
        value = f"{check.value} {check.relation} {check.limit}, {verdict}"
        for line in _facts(((check.rule, value),), width):
            yield line if check.passed else Text("bad", line.text)


def _market(top: Top) -> tuple[tuple[str, str], ...]:
    bid, ask = (
        f"{price} × {size}" if price is not None else "–"
        for price, size in ((top.bid, top.bid_size), (top.ask, top.ask_size))
    )
    age = "age not known" if top.age_ns is None else f"{duration(top.age_ns)} old"
    return (("bid, ask", f"{bid}   {ask}"), ("mark, data", f"{top.mark or '–'}, {age}"))
