"""What happens in one seed, and when: its conditions, the trader's steps and the faults. Drawn before anything runs.

Every step has a number and draws from dice of its own, so a story stays the same when other steps are left out of it.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.sim.faults import child

TRADER = {
    "place": 30, "close": 7, "protect": 6, "cancel": 5, "cancel limits": 1, "amend": 7, "flatten": 1, "kill switch": 2,
    "leverage": 2, "margin": 2, "money": 1, "reset": 1, "same again": 5,
}  # fmt: skip
"""What the trader asks for, by weight."""
MARKET = {"jump": 5, "bad price": 4, "gap": 2, "reordering": 2, "silent stream": 2, "line lost": 1}
"""What the market and its feed do, by weight."""
ENGINE = {
    "kill": 3, "kill in a commit": 6, "slow disk": 4, "full disk": 3, "writer behind": 1,
    "clock back": 2, "clock forward": 2, "suspend": 2,
}  # fmt: skip
"""What happens to the engine and its machine, by weight."""
VENUE = {"attest": 4, "reprice": 8}
"""What the trader asks for where orders can be of unknown outcome, by weight."""

SENDERS = {"alert": 8, "approve": 2, "decline": 1}
"""What signal sources and the person at the inbox do, by weight, where there are sources."""


class Step(NamedTuple):
    """One thing that happens at a time, seconds after the start."""

    number: int
    at_s: float
    kind: str


class Plan(NamedTuple):
    """The conditions of a seed and its steps in order of time."""

    seed: int
    venue: bool
    """Orders go to the fake exchange; else they are matched on paper."""
    profile: int
    depth: bool
    """The feed brings a book; else quotes alone."""
    steady: bool
    """The engine's own clock; else one that is set with the machine's."""
    second: bool
    """Another account trades too."""
    sources: int
    """So many send signals."""
    length_s: float
    steps: tuple[Step, ...]


def make_plan(seed: int) -> Plan:
    """The plan of a seed: every other one trades at the fake exchange. Each seed has only some kinds of faults: what one kind shows, another may hide."""
    venue = seed % 2 == 1
    draw = child(seed, "plan")
    length_s = draw.uniform(30, 70)
    kinds = MARKET | ENGINE
    asks = TRADER | (VENUE if venue else {})
    on = {kind: weight for kind, weight in kinds.items() if draw.random() < 0.5}
    fault_share = draw.choice((0.0, 0.1, 0.2, 0.35)) if on else 0.0
    steps: list[Step] = []
    at_s = 2.0
    while at_s < length_s:
        pool = on if draw.random() < fault_share else asks
        (kind,) = draw.choices(list(pool), list(pool.values()))
        steps.append(Step(len(steps), at_s, kind))
        at_s += draw.choice((0.0, 0.01, 0.2, 1.0, 1.0, 3.0)) * draw.random()
    sources, alerts = _alerts(seed, length_s, len(steps))
    return Plan(
        seed=seed,
        venue=venue,
        profile=draw.randrange(6),
        depth=draw.random() < 0.6,
        steady=venue or draw.random() < 0.8,
        second=not venue and draw.random() < 0.3,
        sources=sources,
        length_s=length_s,
        steps=tuple(sorted((*steps, *alerts), key=lambda step: step.at_s)),
    )


def _alerts(seed: int, length_s: float, numbered: int) -> tuple[int, list[Step]]:
    """How many sources there are, in some seeds, and what they and the person at the inbox do: from dice of their own."""
    draw = child(seed, "senders")
    if draw.random() >= 0.4:
        return 0, []
    steps: list[Step] = []
    at_s = 3.0
    while at_s < length_s:
        (kind,) = draw.choices(list(SENDERS), list(SENDERS.values()))
        steps.append(Step(numbered + len(steps), at_s, kind))
        at_s += draw.choice((0.0, 0.05, 2.0, 6.0, 12.0)) * draw.random()
    return draw.randint(1, 3), steps
