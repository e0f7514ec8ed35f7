"""How signals come in: the port to the desk, the pipeline, the listener. Imported only where it is on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.clock import Clock
from engine.intake.limits import Rate
from engine.intake.listener import Listener
from engine.intake.listening import ListenerConfig, ListenerError, where
from engine.intake.pipeline import Pipeline
from engine.intake.sources import Registry
from engine.intake.walk import Tally
from engine.runtime.config import IntakeConfig, StartError
from engine.runtime.keeper import Keeper
from engine.runtime.signals import SignalPort
from engine.runtime.timing import Timing


class Intake:
    """One pipeline and who brings it signals. `clock` is real time: rates and ages are those of the senders."""

    def __init__(self, config: IntakeConfig, keeper: Keeper, ledger: Path, timing: Timing, clock: Clock) -> None:
        """Raises StartError."""
        self._port = SignalPort(keeper, ledger, timing)
        rate = Rate(config.address_rate, round(10 * config.address_rate))
        self._pipeline = Pipeline(self._port, Registry(config.home), clock=clock, address_rate=rate)
        self._opening: asyncio.Task[None] | None = None
        try:
            host, port = where(config.webhook)
            listening = ListenerConfig(
                host=host,
                port=port,
                proxies=config.proxies,
                tls_cert=config.tls_cert,
                tls_key=config.tls_key,
                behind_proxy=config.behind_proxy,
            )
            self._listener = Listener(listening, self._pipeline)
        except ListenerError as error:
            raise StartError(str(error)) from None

    async def start(self) -> str:
        """Listen; returns where. What comes before there are prices waits for them a little. Raises StartError."""
        try:
            await self._listener.start()
        except ListenerError as error:
            raise StartError(str(error)) from None
        self._opening = asyncio.create_task(self._port.open(), name="intake")
        return self._listener.address

    def senders(self) -> dict[str, Tally]:
        """What came, by source; under "" what no source sent."""
        return self._pipeline.health()

    async def stop(self) -> None:
        """Answer what is under way and listen no more. Call it while the keeper still commits."""
        await self._listener.stop()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        self._port.close()
