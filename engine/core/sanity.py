"""What any command must be before a rule looks at it: an id of its own, and numbers that decimals can carry."""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import get_args

import msgspec

from engine.core.rounding import Refusal
from engine.model.command import AnyCommand

LONGEST_ID = 200
MOST = Decimal("1E+12")
"""Two such numbers multiplied, to 8 places, still fit the 34 digits money is computed with."""
LEAST = -MOST

_NUMBERS: dict[type, tuple[str, ...]] = {
    kind: tuple(f.name for f in msgspec.structs.fields(kind) if f.type is Decimal or Decimal in get_args(f.type))
    for kind in get_args(AnyCommand)
}
# With the id in front, because a getter of a single field returns no tuple.
_READ = {kind: attrgetter("request_id", "owner", *fields) for kind, fields in _NUMBERS.items()}


def malformed(command: AnyCommand) -> Refusal | None:
    """Why a command cannot even be looked at; None when it can."""
    request_id, _, *numbers = _READ[type(command)](command)
    if not 0 < len(request_id) <= LONGEST_ID:
        return Refusal(
            "REQUEST_ID", f"request id: {len(request_id)} characters long; give each intent one of 1 to {LONGEST_ID}"
        )
    for number in filter(None, numbers):
        if not (number.is_finite() and LEAST <= number <= MOST):
            return _bad_number(command)
    return None


def _bad_number(command: AnyCommand) -> Refusal | None:
    for field in _NUMBERS[type(command)]:
        number = getattr(command, field)
        name = field.replace("_", " ")
        if number is not None and not number.is_finite():
            return Refusal("NUMBER", f"{name}: {number} is not a number; write it like 0.25 or 61000.5")
        if number is not None and abs(number) > MOST:
            return Refusal("NUMBER", f"{name}: {number} is beyond {MOST:f}; check for a typing slip")
    return None
