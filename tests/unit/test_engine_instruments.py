"""A venue that cannot be asked for its list must not keep an engine, and its exits, from starting."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.core.state import State
from engine.feeds.base import FeedError
from engine.model.instrument import Instrument
from engine.runtime import Engine, EngineConfig
from tests.kit import instrument


class Unreachable:
    """A feed whose venue does not answer."""

    async def instruments(self) -> list[Instrument]:
        raise FeedError("feed binance: cannot read instruments")


def known(*rows: tuple[str, str]) -> State:
    listed = [
        msgspec.structs.replace(instrument(), id=f"{venue}.perp:{symbol}", venue=venue, symbol=symbol)
        for venue, symbol in rows
    ]
    return State(instruments={one.id: one for one in listed})


async def asked(state: State, *symbols: str) -> list[str]:
    engine = Engine(EngineConfig(env="paper", feed="binance", symbols=symbols, ledger=Path("unused.sqlite")))
    engine._feed = Unreachable()  # type: ignore[assignment]
    return [one.id for one in await engine._instruments(state)]


async def test_an_unreachable_venue_is_traded_with_the_instruments_the_ledger_knows() -> None:
    state = known(("binance", "BTCUSDT"), ("binance", "ETHUSDT"), ("backpack", "BTC_USDC_PERP"))
    assert await asked(state) == ["binance.perp:BTCUSDT", "binance.perp:ETHUSDT"]
    assert await asked(state, "ETHUSDT") == ["binance.perp:ETHUSDT"]


@pytest.mark.parametrize("symbols", [("BTCUSDT", "TYPO"), ("TYPO",)])
async def test_a_symbol_nobody_knows_is_still_refused(symbols: tuple[str, ...]) -> None:
    with pytest.raises(FeedError):
        await asked(known(("binance", "BTCUSDT")), *symbols)


async def test_a_new_ledger_knows_nothing_to_go_on_with() -> None:
    with pytest.raises(FeedError):
        await asked(State())
