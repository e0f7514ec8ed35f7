"""Venue profiles that differ in what rules branch on."""

from __future__ import annotations

from decimal import Decimal

from engine.model.instrument import (
    LiquidationClose,
    MarginModel,
    MarkSource,
    QueueModel,
    ReduceOnlyPolicy,
    VenueProfile,
)

PROFILES = (
    VenueProfile(reduce_only=ReduceOnlyPolicy.REJECT, queue_model=QueueModel.PROB, entry_latency_ns=0),
    VenueProfile(entry_latency_ns=3_000_000_000),
    VenueProfile(),
    VenueProfile(
        liquidation_close=LiquidationClose.BOOK, liquidation_fee=Decimal("0.001"), fee_reserve=Decimal("0.0005")
    ),
    VenueProfile(margin_model=MarginModel.FRACTION, mark_source=MarkSource.EXIT_SIDE),
    VenueProfile(mark_source=MarkSource.MID),
)
