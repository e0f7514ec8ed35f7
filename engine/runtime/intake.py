"""How signals come in: the port to the desk, the pipeline, the listener, the mailbox. Imported only where it is on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import Clock, wall_ns
from engine.intake.limits import Rate
from engine.intake.listener import Listener
from engine.intake.listening import ListenerConfig, ListenerError, where
from engine.intake.mailing import MailboxError, mailbox_config
from engine.intake.pipeline import Pipeline
from engine.intake.post import Post
from engine.intake.sources import Registry
from engine.intake.walk import Tally
from engine.runtime.config import IntakeConfig, StartError
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.signals import SignalPort
from engine.runtime.timing import Timing

if TYPE_CHECKING:
    from engine.intake.mailbox import Mailbox


class Intake:
    """One pipeline and who brings it signals. `clock` is real time, for rates; ages go by the system's clock, as the senders' do."""

    def __init__(self, config: IntakeConfig, keeper: Keeper, ledger: Path, timing: Timing, clock: Clock) -> None:
        """Raises StartError."""
        rate = Rate(config.address_rate, round(10 * config.address_rate))
        registry = Registry(config.home)
        self._port = SignalPort(keeper, ledger, timing)
        self._pipeline = Pipeline(self._port, registry, clock=clock, wall=wall_ns, address_rate=rate)
        self._opening: asyncio.Task[None] | None = None
        try:
            self._listener = Listener(_listening(config), self._pipeline) if config.webhook else None
        except ListenerError as error:
            raise StartError(str(error)) from None
        self._mailbox = _mailbox(config, self._pipeline, registry, self._port) if config.mail else None

    async def start(self) -> str:
        """Begin; returns where the listener listens. What comes before there are prices waits for them a little.

        Raises StartError.
        """
        try:
            if self._listener is not None:
                await self._listener.start()
        except ListenerError as error:
            raise StartError(str(error)) from None
        self._opening = asyncio.create_task(self._port.open(), name="intake")
        if self._mailbox is not None:
            self._mailbox.start()
        return self._listener.address if self._listener is not None else ""

    def senders(self) -> dict[str, Tally]:
        """What came, by source; under "" what no source sent."""
        return self._pipeline.health()

    async def stop(self) -> None:
        """Answer what is under way and take no more. Call it while the keeper still commits."""
        if self._mailbox is not None:
            await self._mailbox.close()
        if self._listener is not None:
            await self._listener.stop()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        self._port.close()


def _listening(config: IntakeConfig) -> ListenerConfig:
    host, port = where(config.webhook)
    return ListenerConfig(
        host=host,
        port=port,
        proxies=config.proxies,
        tls_cert=config.tls_cert,
        tls_key=config.tls_key,
        behind_proxy=config.behind_proxy,
    )


def _mailbox(config: IntakeConfig, pipeline: Pipeline, registry: Registry, port: SignalPort) -> Mailbox:
    def lost(message: str) -> None:
        with suppress(NotDurable):
            port.alarm("MAIL", message)

    try:
        box = mailbox_config(config.mail, config.mail_password_file, config.mail_authserv)
        from engine.intake.mailbox import Mailbox

        return Mailbox(box, Post(pipeline, registry, config.mail_authserv).take, lost)
    except MailboxError as error:
        raise StartError(str(error)) from None
