"""From a request to an answer, free of any transport, in the order of checks of DESIGN 7.

    address -> rate of the address -> (the transport reads the body) -> JSON -> key and signature -> rate of the source
    -> schema -> freshness -> dedup and commit -> answer

What is refused before the commit was never a signal: it reaches no ledger, only the counts of `health`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from engine.clock import Clock, mono_ns
from engine.intake.alarms import Alarms
from engine.intake.answers import Answer, Refused, killed, refusal, verdict
from engine.intake.gate import ADDRESS_RATE, Gate
from engine.intake.keys import masked
from engine.intake.limits import Patience, Rate
from engine.intake.port import ACCEPTED, KILL_SWITCH, OPEN_STATUSES, REFUSED, IntakePort, Outcome
from engine.intake.recorder import Recorded, Recorder
from engine.intake.schema import CLOSES, Draft, read_draft, read_key
from engine.intake.sources import Member, Registry
from engine.intake.text import Problem, canonical, read_object, shown
from engine.intake.walk import Request, Tally, Walk
from engine.model.signal import SourceMode

log = logging.getLogger(__name__)

PROCESS_S = 2.5
"""Longest wait of /process for a verdict."""
_HTTP_CHECKS = ("address", "address_rate", "size")


class Pipeline:
    """One for all transports of an engine: what they bring is deduplicated together."""

    def __init__(
        self,
        port: IntakePort,
        registry: Registry,
        *,
        clock: Clock,
        wall: Callable[[], int] | None = None,
        mono: Callable[[], int] = mono_ns,
        address_rate: Rate = ADDRESS_RATE,
        patience: Patience | None = None,
    ) -> None:
        """`wall`: what senders' own times are held against; `clock` runs ahead of it where the system's was set back."""
        alarms = Alarms(port)
        self._port = port
        self._clock = clock
        self._wall = wall or clock.now_ns
        self._mono = mono
        self._gate = Gate(registry, alarms, address_rate, patience)
        self._recorder = Recorder(port, alarms, clock, self._wall)
        self._tallies: dict[str, Tally] = {"": Tally()}
        self._began_ns = clock.now_ns()
        self._answered = 0

    def health(self) -> dict[str, Tally]:
        """What came, by source, also of those that were never heard; under "" what no source sent."""
        for name, wait_s in self._gate.quarantined(self._clock.now_ns()).items():
            self._tallies.setdefault(name, Tally()).quarantined_s = wait_s
        return self._tallies

    def request_id(self) -> str:
        """For the answer to what is no signal."""
        self._answered += 1
        return f"r{self._began_ns:x}-{self._answered}"

    def refused(self, refused: Refused, source: str = "", request_id: str = "") -> Answer:
        """Count a refusal and word it; also for what a transport refuses by itself. `request_id`: the sender's own."""
        self._tallies.setdefault(source, Tally()).refuse(refused.code)
        return refusal(refused, request_id or self.request_id())

    def admit(self, address: str, source: str = "") -> Answer | None:
        """Whether a request's body is worth reading; the answer when it is not."""
        try:
            self._gate.admit(address, source, self._clock.now_ns())
        except Refused as refused:
            return self.refused(refused)
        return None

    def alive(self, address: str) -> Answer:
        """Whether signals are taken, for who watches the listener from outside."""
        try:
            self._gate.slow_down(address, self._clock.now_ns())
            self._gate.check_registry(self._clock.now_ns())
            # The reason is for who sits at the desk: strangers ask here.
            if self._port.closed():
                raise Refused("NOT_RECORDED", "signals cannot be made durable at the moment", 60)
        except Refused as refused:
            return self.refused(refused)
        return Answer(HTTPStatus.OK, True, {"status": "ok"}, None, None, self.request_id())

    async def webhook(self, request: Request) -> Answer:
        """A signal's fields with its apiKey; answered once it is durable. Never raises."""

        async def answered(walk: Walk) -> Answer:
            fields, text = read_object(request.body)
            walk.passed("json")
            key = fields.pop("apiKey", None)
            member = self._gate.identify(key, request, self._clock.now_ns())
            return await self._guarded(
                member.source.name,
                lambda: self._webhook(member, fields, lambda: _record(text, key, fields), request, walk),
            )

        walk = Walk(self._mono, _HTTP_CHECKS, request.receive_ns)
        return await self._guarded("", lambda: answered(walk))

    async def process(self, request: Request) -> Answer:
        """`{requestId, payload}` with the key in a header; waits for the verdict a while. Never raises."""

        async def answered(walk: Walk) -> Answer:
            outer, text = read_object(request.body)
            walk.passed("json")
            request_id = _said_id(outer)
            return await self._guarded("", lambda: authenticated(outer, text, request_id, walk), request_id)

        async def authenticated(outer: dict[str, Any], text: str, request_id: str, walk: Walk) -> Answer:
            member = self._gate.identify(request.internal_key, request, self._clock.now_ns())
            return await self._guarded(
                member.source.name, lambda: self._process(member, outer, text, request, walk), request_id
            )

        walk = Walk(self._mono, _HTTP_CHECKS, request.receive_ns)
        return await self._guarded("", lambda: answered(walk))

    async def deliver(
        self,
        source: str,
        fields: dict[str, Any],
        *,
        raw: str,
        path: str,
        key: str = "",
        arrived_ns: int | None = None,
    ) -> Answer:
        """A signal of a source that was authenticated in another way, as a mail's sender is. Never raises.

        `fields` as text.read_object gives them, `raw` for the record; `key`: what makes it unique, `arrived_ns`: what its age
        goes by, where the body does not say.
        """

        async def answered() -> Answer:
            member = self._gate.member(source, self._clock.now_ns())
            walk = Walk(self._mono)
            self._arrived(member)
            return await self._guarded(source, lambda: taken(member, walk))

        async def taken(member: Member, walk: Walk) -> Answer:
            self._paced(member, walk)
            draft = self._read(fields, walk)
            sent_key = draft.idempotency_key or key
            recorded = await self._record(member, draft, sent_key, lambda: masked(raw), path, walk, arrived_ns)
            return self._answer(member, draft, recorded, recorded.outcome.id)

        return await self._guarded("", answered)

    # --- the stretches of the way -------------------------------------------------------------------------------------

    def _authenticate(self, member: Member, request: Request, walk: Walk) -> None:
        self._gate.authenticate(member, request, walk, self._clock.now_ns(), self._wall())
        self._arrived(member)

    def _arrived(self, member: Member) -> None:
        tally = self._tallies.setdefault(member.source.name, Tally())
        tally.received += 1
        tally.last_ns = self._clock.now_ns()

    async def _webhook(
        self, member: Member, fields: dict[str, Any], raw: Callable[[], str], request: Request, walk: Walk
    ) -> Answer:
        self._authenticate(member, request, walk)
        self._paced(member, walk)
        draft = self._read(fields, walk)
        key = _one_key(member, draft, request.idempotency_key)
        if request.probe:
            return self._probed(member, draft, key, walk)
        recorded = await self._record(member, draft, key, raw, "webhook", walk)
        return self._answer(member, draft, recorded, recorded.outcome.id)

    async def _process(self, member: Member, outer: dict[str, Any], text: str, request: Request, walk: Walk) -> Answer:
        self._authenticate(member, request, walk)
        self._paced(member, walk)
        request_id, fields = _unwrapped(outer)
        key = fields.pop("apiKey", None)
        draft = self._read(fields, walk)
        sent_key = _one_key(member, draft, request.idempotency_key) or request_id
        if request.probe:
            return self._probed(member, draft, sent_key, walk, request_id)
        outcome, repeated = await self._record(
            member, draft, sent_key, lambda: _record(text, key, {**outer, "payload": fields}), "process", walk
        )
        if outcome.status in OPEN_STATUSES:
            outcome = await self._awaited(outcome)
        return self._answer(member, draft, Recorded(outcome, repeated), request_id, HTTPStatus.ACCEPTED)

    def _paced(self, member: Member, walk: Walk) -> None:
        self._gate.pace(member, self._clock.now_ns())
        walk.passed("source_rate")
        walk.stage("authenticate")

    def _read(self, fields: dict[str, Any], walk: Walk) -> Draft:
        draft = read_draft(fields)
        walk.passed("schema")
        walk.stage("validate")
        return draft

    async def _record(
        self,
        member: Member,
        draft: Draft,
        key: str,
        raw: Callable[[], str],
        path: str,
        walk: Walk,
        arrived_ns: int | None = None,
    ) -> Recorded:
        recorded = await self._recorder.record(member.source, draft, key, raw, path, walk, arrived_ns)
        tally = self._tallies[member.source.name]
        if recorded.repeated:
            tally.repeated += 1
        else:
            tally.taken += 1
        return recorded

    def _answer(
        self, member: Member, draft: Draft, recorded: Recorded, request_id: str, pending: HTTPStatus = HTTPStatus.OK
    ) -> Answer:
        """`pending`: the status while the verdict is to come."""
        outcome = recorded.outcome
        # A repeated delivery is told the first verdict as such: a 503 would have the sender try for ever.
        if not recorded.repeated:
            outcome = self._under_kill_switch(member, draft, outcome)
            if outcome.code == KILL_SWITCH and outcome.status == REFUSED:
                return killed(outcome, request_id)
        return verdict(outcome, pending if outcome.status in OPEN_STATUSES else HTTPStatus.OK, request_id)

    def _under_kill_switch(self, member: Member, draft: Draft, outcome: Outcome) -> Outcome:
        """An entry accepted while the kill switch is on will be refused: the sender is told now."""
        entry = draft.action not in CLOSES and not draft.test
        # One that became an order before the switch was put on is on its way: its verdict is to come.
        undecided = outcome.status == ACCEPTED and not outcome.order
        if undecided and entry and member.source.policy.mode is SourceMode.TRADE:
            reason = self._port.entries_refused()
            if reason:
                return Outcome(outcome.id, REFUSED, KILL_SWITCH, reason)
        return outcome

    async def _awaited(self, outcome: Outcome) -> Outcome:
        """The verdict, or what is durable already: a verdict that cannot be told yet makes the signal no less accepted."""
        try:
            async with asyncio.timeout(PROCESS_S + 0.5):
                return await self._port.outcome(outcome.id, PROCESS_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the signal is recorded; no trace, it may hold a body
            log.warning("no verdict of signal %s yet: %s", outcome.id, type(error).__name__)
            return outcome

    def _probed(self, member: Member, draft: Draft, key: str, walk: Walk, request_id: str = "") -> Answer:
        """The path was measured up to the look-up, and what would be refused there is; nothing is recorded."""
        self._recorder.probe(member.source, draft, key, walk)
        self._port.probed(member.source.name, walk.stages)
        result = {"status": "probe", "checks": walk.checks, "stages": walk.stages}
        return Answer(HTTPStatus.OK, True, result, None, None, request_id or self.request_id())

    async def _guarded(self, source: str, answer: Callable[[], Awaitable[Answer]], request_id: str = "") -> Answer:
        """Every refusal in the one shape, and nothing but an answer whatever goes wrong: no signal, then."""
        try:
            return await answer()
        except Refused as refused:
            return self.refused(refused, source, request_id)
        except Problem as problem:
            return self.refused(Refused(problem.code, str(problem)), source, request_id)
        except Exception as error:  # noqa: BLE001 - fails closed; no trace, it may hold a body
            log.error("a request failed: %s", type(error).__name__)
            return self.refused(Refused("NOT_RECORDED", "the request failed; send it again", 5), source, request_id)


def _one_key(member: Member, draft: Draft, header: str) -> str:
    """The sender's key, from the body or the header; raises Problem when they are two, or when nobody signed it."""
    in_body = draft.idempotency_key or ""
    in_header = read_key(header) if header else ""
    if in_body and in_header and in_body != in_header:
        raise Problem(
            "BAD_FIELD",
            "idempotencyKey",
            f"{in_body} differs from the header's {in_header}; send one, or the same twice",
        )
    if in_header and not in_body and member.source.hmac:
        # Whoever got hold of a signed request could send it again under another key.
        raise Problem(
            "BAD_FIELD",
            "Idempotency-Key",
            "a header is not signed, and this source signs; send idempotencyKey in the body",
        )
    return in_body or in_header


def _said_id(outer: dict[str, Any]) -> str:
    """The sender's requestId, for whatever is answered; empty where there is none that may be repeated."""
    try:
        return read_key(outer.get("requestId"), "requestId")
    except Problem:
        return ""


def _unwrapped(outer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The two fields of a /process body; raises Problem."""
    for name in outer:
        if name not in ("requestId", "payload"):
            raise Problem("UNKNOWN_FIELD", shown(name), "is not a field; send requestId and payload")
    for name in ("requestId", "payload"):
        if name not in outer:
            raise Problem("MISSING_FIELD", name, "missing; send requestId and payload")
    if not isinstance(outer["payload"], dict):
        raise Problem("BAD_FIELD", "payload", f"{shown(outer['payload'])} is not an object; send the signal's fields")
    return read_key(outer["requestId"], "requestId"), outer["payload"]


def _record(text: str, key: object, fields: dict[str, Any]) -> str:
    """The raw text with the secret masked; where it cannot be told in there, the fields without it."""
    said = masked(text)
    if key is None or (isinstance(key, str) and key in text and key not in said):
        return said
    return masked(canonical(fields))
