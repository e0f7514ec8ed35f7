"""kill -9 under a stream of signals: each key is one signal with one verdict, each that trades is one order."""

from __future__ import annotations

import asyncio
import random
import signal
from itertools import count
from pathlib import Path

import pytest

from engine.core.inbox import signal_of
from engine.ledger.verify import verify
from engine.model import event as ev
from engine.runtime import EngineConfig
from tests.engine_process import EngineProcess, events_of, loaded
from tests.signal_engine import LOGS, Answered, Sender, alert, enrolled, listening, reads, rows, taking

TRADES, LOGGED, REFUSED = range(3)
CONNECTIONS = 16


class Alert:
    """One alert, what it should come to, and what its sender was told."""

    def __init__(self, number: int, body: bytes, kind: int) -> None:
        self.key = f"a{number}"
        self.body = body
        self.kind = kind
        self.answers: list[Answered] = []


def alerts(keys: tuple[str, str], many: int) -> list[Alert]:
    """Of ten, eight trade, one is of a source that only logs, one names what is not traded."""
    tv, logger = keys
    made = []
    for number in range(many):
        kind = {3: LOGGED, 7: REFUSED}.get(number % 10, TRADES)
        symbol = "DOGEUSDT" if kind is REFUSED else "BTCUSDT"
        body = alert(logger if kind is LOGGED else tv, f"a{number}", symbol=symbol)
        made.append(Alert(number, body, kind))
    return made


async def stream(webhook: str, sent: list[Alert], pause_s: float) -> None:
    """All of them once, over several connections; an alert that nobody answers is given up, and the next one waits."""
    numbers = count()

    async def send() -> None:
        sender = Sender(webhook)
        for number in numbers:
            if number >= len(sent):
                break
            try:
                sent[number].answers.append(await sender.post(sent[number].body))
            except OSError:
                await listening(webhook)
            await asyncio.sleep(pause_s)
        await sender.close()

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))


async def through_kills(
    config: EngineConfig, sent: list[Alert], kills: int, pause_s: float, draw: random.Random
) -> None:
    """The stream runs on while the engine is killed and started again; then every alert is sent once more."""
    assert config.intake is not None
    webhook = config.intake.webhook
    engine = EngineProcess(config)
    try:
        await listening(webhook)
        streaming = asyncio.create_task(stream(webhook, sent, pause_s))
        for _ in range(kills):
            await asyncio.sleep(draw.uniform(0.02, 0.4))
            engine.send(signal.SIGKILL)
            engine.ended()
            engine = EngineProcess(config)
            await listening(webhook)
        await streaming
        await stream(webhook, sent, 0)
        await reads(config.ledger, "SELECT count(*) FROM signals WHERE ended_ns = 0", (0,))
        engine.send(signal.SIGTERM)
        code, words = engine.ended()
        assert code == 0, words
    finally:
        engine.kill()


def check(config: EngineConfig, sent: list[Alert]) -> None:
    """Exactly once, from what the ledger holds and what the senders were told."""
    assert verify(config.ledger).ok
    events = events_of(config.ledger)
    received = [event.body.signal for event in events if isinstance(event.body, ev.SignalReceived)]
    ended = [event.body for event in events if isinstance(event.body, ev.SignalEnded)]
    created = [event for event in events if isinstance(event.body, ev.OrderCreated)]
    filled = {event.body.order for event in events if isinstance(event.body, ev.OrderFilled)}

    assert sorted(it.key for it in received) == sorted(it.key for it in sent)
    assert rows(config.ledger, "SELECT count(*), count(DISTINCT source || key) FROM signals") == [(len(sent),) * 2]
    assert sorted(it.signal for it in ended) == sorted(it.id for it in received)

    ids = {it.key: it.id for it in received}
    verdicts = {it.signal: it for it in ended}
    orders: dict[str, list[str]] = {}
    for event in created:
        orders.setdefault(signal_of(event.request_id), []).append(event.body.terms.id)
    for it in sent:
        mine = orders.get(ids[it.key], [])
        verdict = verdicts[ids[it.key]]
        if it.kind is TRADES:
            assert (str(verdict.status), len(mine)) == ("executed", 1), (it.key, verdict, mine)
            assert mine[0] in filled
        else:
            wanted = {LOGGED: ("logged", "LOGGED"), REFUSED: ("refused", "UNKNOWN_SYMBOL")}[it.kind]
            assert ((str(verdict.status), verdict.code), mine) == (wanted, [])
        assert it.answers
        for answer in it.answers:
            assert answer.status == 200, answer
            assert answer.body["result"]["signalId"] == ids[it.key]
            assert answer.body["result"].get("orderId", *mine[:1] or ("",)) in mine or not mine
    assert len(created) == sum(it.kind is TRADES for it in sent)
    loaded(config)


async def run(folder: Path, many: int, kills: int, pause_s: float, seed: int) -> None:
    keys = enrolled(folder).api_key, enrolled(folder, "log", LOGS).api_key
    config = taking(folder)
    sent = alerts(keys, many)
    await through_kills(config, sent, kills, pause_s, random.Random(seed))
    check(config, sent)
    assert any(len(it.answers) == 1 for it in sent), "no alert was lost to a kill: the test shows nothing"


async def test_each_of_200_signals_counts_once_through_two_kills(tmp_path: Path) -> None:
    await run(tmp_path, 200, 2, 0.05, seed=1)


@pytest.mark.soak
async def test_each_of_2000_signals_counts_once_through_eight_kills(tmp_path: Path) -> None:
    await run(tmp_path, 2_000, 8, 0.03, seed=2)
