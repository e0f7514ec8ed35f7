"""Writes the pictures in screenshots/: the real desk over a real engine on the simulated market, with a fixed seed.

`python -m hoox_tui.screenshots [FOLDER]`. SVG always; PNG too where the package cairosvg can be imported.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from textual.pilot import Pilot

from engine.model.command import ClosePosition, PlaceOrder
from engine.model.market import Side
from engine.model.order import OrderType
from engine.views import BookView, PositionsView
from hoox_tui.app import DeskApp
from hoox_tui.cli.engine import EngineHere
from hoox_tui.cli.launch import engine_config
from hoox_tui.drawn import drawn
from hoox_tui.settings import Settings

SIZES = ((80, 24), (120, 40), (160, 45))
README_SIZE = (120, 40)
SIGNALS = (
    ("tv", "LONG", "ETHUSDT", "0.5"),
    ("tv", "LONG", "ETHUSDT", "0.5"),
    ("tv", "SHORT", "SOLUSDT", "40"),
    ("mail", "CLOSE", "BTCUSDT", "1"),
    ("tv", "LONG", "SOLUSDT", "5"),
    ("mail", "SHORT", "ETHUSDT", "0.2"),
    ("tv", "CLOSE", "SOLUSDT", "5"),
    ("mail", "LONG", "SOLUSDT", "2"),
)
"""Source, action, symbol, quantity."""
SEED = 7
WARM_UP = 60
"""Seconds the market runs before the pictures: a minute of one-second candles."""
SCALE = 1.0
FONT = "DejaVu Sans Mono"


async def take(folder: Path) -> list[Path]:
    """Trade a little, wait, and picture the desk in every size; then the signal inbox, and why a signal's order is there."""
    with TemporaryDirectory() as home:
        settings = Settings(home=Path(home), seed=SEED, webhook=f"127.0.0.1:{_free_port()}")
        link = EngineHere(json.dumps(engine_config(settings)))
        app = DeskApp(link)
        async with app.run_test(size=SIZES[-1]) as pilot:
            await _until(pilot, lambda: _book(app) is not None)
            await pilot.press("[", "[")
            await _trade(app, pilot)
            await asyncio.sleep(WARM_UP)
            desks = [await _picture(app, pilot, folder, "desk", size) for size in SIZES]
            await asyncio.to_thread(_send_signals, settings)
            await pilot.press("f4")
            inbox = await _picture(app, pilot, folder, "signals", README_SIZE)
            await pilot.press("f2", "4", "j", "w")
            return [*desks, inbox, await _picture(app, pilot, folder, "why", README_SIZE)]


def _send_signals(settings: Settings) -> None:
    """Two sources: one trades, one asks; what they may do and what not."""
    keys = {}
    for name, mode in (("tv", "trade"), ("mail", "approve")):
        add = [
            sys.executable,
            "-m",
            "hoox_tui",
            "source",
            "add",
            name,
            "--mode",
            mode,
            "--max-notional",
            "2000",
            "--json",
        ]
        environ = os.environ | {"HOOX_HOME": str(settings.home)}
        keys[name] = json.loads(subprocess.run(add, env=environ, check=True, capture_output=True).stdout)["apiKey"]
    for number, (name, action, symbol, quantity) in enumerate(SIGNALS):
        said = {
            "apiKey": keys[name], "exchange": "paper", "action": action, "symbol": symbol, "quantity": quantity,
            "idempotencyKey": f"bar-{number}",
        }  # fmt: skip
        request = Request(
            f"http://{settings.webhook}/webhook", json.dumps(said).encode(), {"Content-Type": "application/json"}
        )
        with suppress(HTTPError), urlopen(request):
            time.sleep(0.3)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _trade(app: DeskApp, pilot: Pilot[Any]) -> None:
    """A closed trade, a protected long and resting orders on both sides."""
    instrument = app.seat.instrument
    assert instrument is not None
    app.link.set_armed(True)
    await _until(pilot, lambda: app.seat.armed)
    tick = Decimal(instrument.tick)

    async def order(side: Side, size: str, bps: int = 0, **terms: Any) -> None:
        best = _price(app, side)
        price = (best * (1 + Decimal(bps) / 10_000)).quantize(tick) if bps else None
        await app.link.submit(
            PlaceOrder(
                request_id=app.seat.ids.next(),
                instrument=instrument.id,
                side=side,
                type=OrderType.LIMIT if price else OrderType.MARKET,
                size=Decimal(size),
                price=price,
                **terms,
            )
        )

    await order(Side.SELL, "0.04", leverage=10)
    await _until(pilot, lambda: bool(_positions(app)))
    await asyncio.sleep(4)
    await app.link.submit(ClosePosition(request_id=app.seat.ids.next(), position=_positions(app)[0]))
    await _until(pilot, lambda: not _positions(app))
    ask = _price(app, Side.BUY)
    await order(
        Side.BUY,
        "0.25",
        take_profit=(ask * Decimal("1.006")).quantize(tick),
        stop_loss=(ask * Decimal("0.994")).quantize(tick),
    )
    for side, size, bps in ((Side.BUY, "0.120", -1), (Side.BUY, "0.080", -25), (Side.SELL, "0.100", 40)):
        await order(side, size, bps)
    await pilot.press("b", *"0.05", "escape", "2", "4")


async def _picture(app: DeskApp, pilot: Pilot[Any], folder: Path, name: str, size: tuple[int, int]) -> Path:
    await pilot.resize_terminal(*size)
    await asyncio.sleep(1.5)
    path = folder / f"{name}-{size[0]}x{size[1]}.svg"
    path.write_text(drawn(app.export_screenshot(title="hoox")), encoding="utf-8")
    return path


def png(pictures: list[Path]) -> list[Path]:
    """The same pictures as PNG; none where cairosvg is missing."""
    try:
        cairosvg = importlib.import_module("cairosvg")
    except (ImportError, OSError):
        return []
    written = []
    for path in pictures:
        svg = path.read_text(encoding="utf-8").replace("Fira Code", FONT)
        target = path.with_suffix(".png")
        cairosvg.svg2png(bytestring=svg.encode(), write_to=str(target), scale=SCALE)
        written.append(target)
    return written


async def _until(pilot: Pilot[Any], there: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not there():
            await pilot.pause(0.05)


def _book(app: DeskApp) -> BookView | None:
    instrument = app.seat.instrument
    book = app.link.views.get(f"book:{instrument.id}") if instrument else None
    return book if isinstance(book, BookView) and book.bids and book.asks else None


def _price(app: DeskApp, side: Side) -> Decimal:
    book = _book(app)
    assert book is not None
    return Decimal((book.asks if side is Side.BUY else book.bids)[0].price.replace(",", ""))


def _positions(app: DeskApp) -> list[str]:
    view = app.link.views.get("positions")
    return [row.id for row in view.rows] if isinstance(view, PositionsView) else []


def main() -> None:
    """Write the pictures and say which."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = asyncio.run(take(folder))
    converted = png(pictures)
    for path in (*pictures, *converted):
        sys.stdout.write(f"{path}\n")
    if not converted:
        sys.stdout.write("No PNG: they need the package cairosvg (pip install cairosvg) and the library cairo\n")


if __name__ == "__main__":
    main()
