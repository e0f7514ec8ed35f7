"""The engine's process. The only module of the application that imports the runtime.

`python -m hoox_tui.cli.engine JSON` is how a desk starts it: no settings, no typer, so that it is up sooner.
"""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec

from engine.feeds.base import FeedError
from engine.ledger.errors import LedgerError
from engine.link.base import LinkState
from engine.link.hub import Hub
from engine.link.local import InProcessLink
from engine.runtime import Engine, EngineConfig, StartError, run_engine
from engine.views.format import clean

log = logging.getLogger("hoox")

CANNOT_START = (StartError, LedgerError, FeedError, OSError)


def config_of(text: str) -> EngineConfig:
    """The configuration launch.engine_config wrote."""
    return msgspec.json.decode(text, type=EngineConfig, dec_hook=_path)


def serve(text: str) -> int:
    """Run an engine until it is stopped; what keeps it from starting is the last line of its output. Returns the exit code."""
    gc.enable()
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(PlainLines("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[output])
    try:
        run_engine(config_of(text))
    except CANNOT_START as error:
        log.error("%s", error)
        return 1
    return 0


class PlainLines(logging.Formatter):
    """A line a record: what a venue or a sender wrote begins no line of its own and moves nobody's cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The line."""
        return clean(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  logging's name
        """The trace below it."""
        return "\n".join(clean(line) for line in super().formatException(ei).split("\n"))


class EngineHere(InProcessLink):
    """An engine on the screen's own loop (--in-process): starts with it, ends with it."""

    def __init__(self, text: str) -> None:
        super().__init__(self._start_engine)
        self._config = config_of(text)
        self._engine: Engine | None = None

    async def start(self) -> None:
        """Start the engine and attach; what keeps it from starting is said in `detail`."""
        try:
            await super().start()
        except CANNOT_START as error:
            self.state = LinkState.LOST
            self.detail = str(error)

    async def close(self) -> None:
        """Leave, and stop the engine cleanly."""
        await super().close()
        if self._engine is not None:
            await self._engine.stop("the screen was closed")

    async def _start_engine(self) -> Hub:
        engine = Engine(self._config)
        await engine.start()
        self._engine = engine
        return engine.hub


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
