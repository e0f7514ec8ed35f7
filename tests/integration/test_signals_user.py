"""Signals as a person uses them: a real engine process, real sockets, curl."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.model.command import SetKill
from tests.engine_process import EngineProcess, attached, until
from tests.signal_engine import Sender, alert, enrolled, free_port, listening, reads, rows, taking

ROOT = Path(__file__).parents[2]


class Running:
    """One engine for all tests of this file; each has a source of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = taking(folder, folder / "e.sock")
        assert self.config.intake is not None
        self.webhook = self.config.intake.webhook
        self.process = EngineProcess(self.config)

    def orders(self, source: str) -> int:
        """Orders that a source's signals became."""
        ((made,),) = rows(self.config.ledger, "SELECT count(*) FROM orders WHERE owner = ?", f"source:{source}")
        return int(made)


@pytest.fixture(scope="module")
def engine() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="hoox-") as folder:
        running = Running(Path(folder))
        asyncio.run(listening(running.webhook))
        yield running
        running.process.send(signal.SIGTERM)
        code, words = running.process.ended()
        assert code == 0, words


@pytest.fixture
async def sender(engine: Running) -> AsyncIterator[Sender]:
    made = Sender(engine.webhook)
    yield made
    await made.close()


async def test_a_signal_trades_and_shows_on_a_desk_that_is_neither_armed_nor_holds_the_hand(
    engine: Running, sender: Sender
) -> None:
    key = enrolled(engine.folder, "shown").api_key
    screen = await attached(engine.config.socket or Path())
    try:
        assert screen.views["status"].webhook == engine.webhook
        screen.subscribe(("positions",))
        answer = await sender.post(alert(key, "k"))
        assert answer.code == (200, None)
        await until(lambda: "positions" in screen.views and screen.views["positions"].rows)
        assert not screen.views["status"].armed
    finally:
        await screen.close()


async def test_one_alert_delivered_four_times_is_one_order_though_the_first_sender_hung_up(engine: Running) -> None:
    key = enrolled(engine.folder, "w1").api_key
    body = alert(key, "bar-1")
    gone = Sender(engine.webhook)
    await gone.send(body)
    await gone.close()
    answers = []
    for _ in range(3):
        sender = Sender(engine.webhook)
        answers.append(await sender.post(body))
        await sender.close()
    assert [answer.code for answer in answers] == [(200, None)] * 3
    assert len({answer.body["result"]["signalId"] for answer in answers}) == 1
    assert engine.orders("w1") == 1


async def test_process_waits_for_the_fill_and_tells_it(engine: Running, sender: Sender) -> None:
    key = enrolled(engine.folder, "worker").api_key
    payload = {"exchange": "paper", "action": "LONG", "symbol": "BTC-USDT", "quantity": 0.002}
    body = json.dumps({"requestId": "r-1", "payload": payload}).encode()
    answer = await sender.post(body, "/process", x_internal_auth_key=key)
    assert answer.code == (200, None)
    assert answer.body["result"]["status"] == "executed"
    ((price,),) = rows(engine.config.ledger, "SELECT price FROM fills WHERE owner = 'source:worker'")
    assert str(answer.body["result"]["price"]) == price
    assert answer.body["result"]["quantity"] == 0.002


async def test_what_is_refused_has_its_status_and_code_and_makes_no_order(engine: Running, sender: Sender) -> None:
    key = enrolled(engine.folder, "strict").api_key
    elsewhere = enrolled(engine.folder, "far", addresses=("tradingview",)).api_key
    slow = Sender(engine.webhook)
    await slow.send(alert(key, "slow"), promised=8_000)

    async def told(body: bytes, path: str = "/webhook") -> tuple[int, str | None]:
        return (await sender.post(body, path)).code

    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert await told(alert(wrong, "a")) == (403, "BAD_KEY")
    assert await told(alert(elsewhere, "b")) == (403, "ADDRESS")
    assert await told(alert(key, "c", symbol="x" * 9_000)) == (413, "TOO_LARGE")
    assert await told(alert(key, "d", quantity="-1")) == (400, "BAD_FIELD")
    assert await told(alert(key, "e", quantty="1")) == (400, "UNKNOWN_FIELD")
    assert await told(alert(key)) == (400, "NOT_UNIQUE")
    assert await told(alert(key, "f"), "/nowhere") == (404, "NOT_FOUND")
    assert await told(alert(key, "g", symbol="DOGEUSDT")) == (200, "UNKNOWN_SYMBOL")
    assert (await slow.answer()).code == (400, "SLOW_BODY")
    await slow.close()
    assert engine.orders("strict") == engine.orders("far") == 0


async def test_a_key_used_again_for_another_body_is_a_conflict_and_an_alarm(engine: Running, sender: Sender) -> None:
    key = enrolled(engine.folder, "w4").api_key
    assert (await sender.post(alert(key, "bar"))).code == (200, None)
    assert (await sender.post(alert(key, "bar", quantity="0.004"))).code == (409, "KEY_REUSED")
    alarms = "SELECT count(*) FROM events WHERE type = 'AlarmRaised' AND payload LIKE '%KEY_REUSED%'"
    await reads(engine.config.ledger, alarms, (1,))
    assert engine.orders("w4") == 1


async def test_the_kill_switch_refuses_entries_and_lets_a_close_through(engine: Running, sender: Sender) -> None:
    key = enrolled(engine.folder, "killed").api_key
    assert (await sender.post(alert(key, "before"))).code == (200, None)
    screen = await attached(engine.config.socket or Path())
    try:
        await screen.submit(SetKill(request_id="kill-on", on=True, reason="news"))
        entry = await sender.post(alert(key, "entry"))
        assert entry.code == (503, "KILL_SWITCH")
        assert (await sender.post(alert(key, "close", action="CLOSE"))).code == (200, None)
        screen.subscribe(("positions",))
        await until(lambda: "positions" in screen.views and not screen.views["positions"].rows)
        await screen.submit(SetKill(request_id="kill-off", on=False))
    finally:
        await screen.close()
    assert rows(engine.config.ledger, "SELECT status, code FROM signals WHERE source = 'killed' AND key = 'entry'") == [
        ("refused", "KILL_SWITCH")
    ]


async def test_fifty_signals_at_once_are_fifty_answers_and_fifty_orders(engine: Running) -> None:
    key = enrolled(engine.folder, "crowd").api_key

    async def one(number: int) -> int:
        sender = Sender(engine.webhook)
        answer = await sender.post(alert(key, f"n{number}"))
        await sender.close()
        return answer.status

    assert await asyncio.gather(*map(one, range(50))) == [200] * 50
    ended = "SELECT count(*) FROM signals WHERE status = 'executed' AND source = 'crowd'"
    await reads(engine.config.ledger, ended, (50,))
    assert engine.orders("crowd") == 50


def test_an_engine_whose_port_is_taken_says_so_and_ends(engine: Running, tmp_path: Path) -> None:
    other = EngineProcess(taking(tmp_path, webhook=engine.webhook))
    code, words = other.ended()
    assert code == 1
    assert words.strip().endswith(
        f"webhook: cannot listen at {engine.webhook}: Address already in use; is another engine there? choose another port"
    )


@pytest.mark.parametrize(
    ("intake", "said"),
    [
        ({"webhook": "0.0.0.0:8787"}, "0.0.0.0 is not loopback, and API keys would travel in the clear"),
        ({"tls_cert": Path(__file__), "tls_key": Path(__file__)}, "give a PEM certificate and its key"),
    ],
)
def test_a_listener_that_would_not_be_safe_keeps_the_engine_from_starting(
    tmp_path: Path, intake: dict[str, str], said: str
) -> None:
    code, words = EngineProcess(taking(tmp_path, **intake)).ended()
    assert code == 1
    assert said in words.strip().splitlines()[-1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_source_add_then_its_curl_trades_then_signal_send_closes(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hoox-") as runtime:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOX_")}
        webhook = f"127.0.0.1:{free_port()}"
        home = {"HOOX_HOME": str(tmp_path), "HOOX_WEBHOOK": webhook, "HOOX_SYMBOLS": "BTCUSDT"}
        environ = kept | home | {"XDG_RUNTIME_DIR": runtime, "PYTHONPATH": str(ROOT)}

        def hoox(*words: str, typed: str = "") -> str:
            done = subprocess.run(
                [sys.executable, "-m", "hoox_tui", *words], cwd=tmp_path, env=environ, input=typed, capture_output=True, text=True, check=True
            )  # fmt: skip
            return done.stdout

        shown = hoox("source", "add", "tv", "--mode", "trade")
        assert "//@version=6" in shown
        curl = shown[shown.index("curl ") : shown.index("EOF\n\nfor TradingView")] + "EOF\n"
        running = subprocess.Popen(
            [sys.executable, "-m", "hoox_tui", "engine"], cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL
        )
        try:
            asyncio.run(listening(webhook))
            for _ in range(3):
                answer = json.loads(subprocess.run(["bash", "-c", curl], capture_output=True, check=True).stdout)
                assert answer["success"], answer
            key = curl.partition('"apiKey":"')[2].partition('"')[0]
            close = alert(key, "c-1", action="CLOSE").decode()
            assert "status accepted" in hoox("signal", "send", "-", typed=close)
            assert f"the engine takes signals at {webhook}" in json.dumps(json.loads(hoox("doctor", "--json")))
            assert key not in hoox("source", "list", "--json")
            del environ["HOOX_WEBHOOK"]
            assert json.loads(hoox("source", "add", "later", "--json"))["url"] == f"http://{webhook}/webhook/later"
            environ["HOOX_LEDGER"] = str(tmp_path / "other.sqlite")
            assert f"http://{webhook}/webhook/tv" in hoox("source", "rotate", "tv")
        finally:
            running.terminate()
            assert running.wait(30) == 0
        trades = rows(tmp_path / "sim.sqlite", "SELECT action, status FROM trades ORDER BY created_at, id")
        assert trades == [("LONG", "Filled"), ("CLOSE", "Filled")]
        assert key.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
