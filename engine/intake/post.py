"""Mails into the pipeline: whose source a sender is, and when a mail is dealt with for good."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from http import HTTPStatus

from engine.intake.answers import Refused
from engine.intake.mail import Envelope, read_envelope, read_letter
from engine.intake.pipeline import Pipeline
from engine.intake.port import KILL_SWITCH
from engine.intake.sources import Registry, SourcesError
from engine.intake.text import Problem

log = logging.getLogger(__name__)

_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Post:
    """Delivers one mail at a time."""

    def __init__(self, pipeline: Pipeline, registry: Registry, authserv: str) -> None:
        self._pipeline = pipeline
        self._registry = registry
        self._authserv = authserv

    async def take(self, raw: bytes, arrived: datetime) -> bool:
        """Whether it is dealt with for good; otherwise it should come again. Never raises for what a mail says."""
        try:
            # In threads: anybody may send a mail, and the engine's loop must not wait while one is read.
            envelope = await asyncio.to_thread(read_envelope, raw, self._authserv)
            source = self._source(envelope)
            letter = await asyncio.to_thread(read_letter, raw)
        except SourcesError:
            log.error("a mail waits: the registry of sources cannot be trusted or read")
            return False
        except Problem as problem:
            self._pipeline.refused(Refused(problem.code, str(problem)))
            log.warning("a mail was refused: %s (%s)", problem, problem.code)
            return True
        answer = await self._pipeline.deliver(
            source,
            letter.fields,
            raw=letter.text,
            path="mail",
            key=envelope.key,
            arrived_ns=int(arrived.timestamp()) * 1_000_000_000,
        )
        log.info("a mail of %s: %s %s", source, int(answer.status), answer.code or "")
        return answer.status not in _AGAIN or answer.code == KILL_SWITCH

    def _source(self, envelope: Envelope) -> str:
        members = self._registry.roster().members.values()
        found = [it.source.name for it in members if envelope.sender in (sender.lower() for sender in it.source.mail)]
        if len(found) != 1:
            raise Problem(
                "ADDRESS", "From", "the sender is not on one source's list: hoox source set NAME --mail ADDRESS"
            )
        return found[0]
