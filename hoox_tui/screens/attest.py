"""Answer for an order of unknown outcome: what of it was filled, at which price, and how one knows."""

from __future__ import annotations

from collections.abc import Mapping

from engine.model.command import AnyCommand, AttestOrder
from engine.model.money import ZERO, to_decimal
from engine.views import OrderRow
from hoox_tui.screens.edit import EditScreen
from hoox_tui.seat import Seat

FILLED, PRICE, REASON = "Filled size", "Price", "Reason"


class AttestScreen(EditScreen):
    """Three empty fields: a person must look at the venue before they answer, so nothing is filled in for them."""

    TITLE_TEXT = "attest"
    HINT = "Enter previews   Tab next field   Esc back"

    def __init__(self, seat: Seat, row: OrderRow) -> None:
        super().__init__(
            seat,
            f"What became of {row.id}: {row.side} {row.size} {row.symbol}, {row.filled} filled for certain?",
            {FILLED: "", PRICE: "", REASON: ""},
            f"{row.evidence}. Look at the venue itself first: 0 says that no more of it was filled.",
        )
        self._row = row

    def read(self, texts: Mapping[str, str]) -> AnyCommand | str:
        """The size must be typed, also when it is 0; the reason too."""
        if not texts[FILLED]:
            return f"{FILLED}: type how much more was filled; 0 when it never arrived"
        filled = to_decimal(FILLED, texts[FILLED])
        if filled < ZERO:
            return f"{FILLED}: {filled} is below 0; type it without a sign"
        price = to_decimal(PRICE, texts[PRICE]) if texts[PRICE] else None
        if filled and price is None:
            return f"{PRICE}: empty; type the average price of the {filled} that were filled"
        if not texts[REASON]:
            return f"{REASON}: empty; say how you know, it is recorded"
        return AttestOrder(
            request_id=self.seat.ids.next(),
            order=self._row.id,
            filled=filled,
            price=price if filled else None,
            reason=texts[REASON],
        )
