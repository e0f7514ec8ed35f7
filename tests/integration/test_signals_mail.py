"""Mails that trade: a real IMAP server on loopback (pymap), a real engine, its ledger."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.ledger.verify import verify
from engine.runtime import EngineConfig
from tests.engine_process import running
from tests.signal_engine import enrolled, free_port, listening, reads, rows, taking

imapclient = pytest.importorskip("imapclient", reason="needs the extra `mail`")
PYMAP = shutil.which("pymap", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(PYMAP is None, reason="needs an IMAP server: pip install pymap")

SERVER = "mx.desk.example"
PASSED = f"{SERVER}; dkim=pass header.d=alerts.example"


class Server:
    """An IMAP server with one mailbox, in memory: what it was given is gone when it stops."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [str(PYMAP), "--host", "127.0.0.1", "--port", str(self.port), "--no-tls", "dict", "--demo-data"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        asyncio.run(listening(f"127.0.0.1:{self.port}"))
        with closing(self._client()) as client:
            client.add_flags(client.search("UNSEEN") or [1], [b"\\Seen"])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def deliver(self, number: int, text: str, result: str = PASSED, sender: str = "bot@alerts.example") -> None:
        head = f"Authentication-Results: {result}\r\nFrom: {sender}\r\nMessage-ID: <{number}@alerts.example>\r\n"
        with closing(self._client()) as client:
            client.append("INBOX", f"{head}Content-Type: text/plain\r\n\r\n{text}\r\n".encode())

    def unseen(self) -> int:
        with closing(self._client()) as client:
            return len(client.search("UNSEEN"))

    def _client(self) -> imapclient.IMAPClient:
        client = imapclient.IMAPClient("127.0.0.1", self.port, ssl=False, timeout=10)
        client.close = client.logout
        client.login("demouser", "demopass")
        client.select_folder("INBOX")
        return client


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(free_port())
    made.start()
    yield made
    made.stop()


def reading(folder: Path, server: Server) -> EngineConfig:
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text("demopass\n")
    enrolled(folder, "post", mail=("bot@alerts.example",))
    return taking(
        folder, webhook="", mail=f"imap://demouser@127.0.0.1:{server.port}/INBOX",
        mail_password_file=password, mail_authserv=SERVER,
    )  # fmt: skip


LONG = "action: LONG\r\nsymbol: BTCUSDT\r\nquantity: 0.002\r\nexchange: paper"


async def test_a_mail_trades_once_however_often_it_is_delivered_and_a_forged_one_never(
    tmp_path: Path, server: Server
) -> None:
    config = reading(tmp_path, server)
    await asyncio.to_thread(server.deliver, 1, LONG)
    async with running(config) as (_, link):
        await reads(config.ledger, "SELECT status FROM signals", ("executed",), seconds=20)
        for number, result, sender in (
            (1, PASSED, "bot@alerts.example"),
            (2, f"{SERVER}; dkim=fail header.d=alerts.example", "bot@alerts.example"),
            (3, f"{SERVER}; dkim=pass header.d=evil.example", "bot@evil.example"),
            (4, PASSED, "bot@alerts.example"),
        ):
            await asyncio.to_thread(server.deliver, number, LONG, result, sender)
        await reads(config.ledger, "SELECT status, path FROM signals", *[("executed", "mail")] * 2, seconds=20)
        assert link.views["status"].webhook == ""
    assert rows(config.ledger, "SELECT count(*) FROM orders WHERE owner = 'source:post'") == [(2,)]
    assert await asyncio.to_thread(server.unseen) == 0
    assert verify(config.ledger).ok


async def test_a_mailbox_that_was_lost_is_listened_to_again_and_a_person_is_told(
    tmp_path: Path, server: Server
) -> None:
    config = reading(tmp_path, server)
    await asyncio.to_thread(server.deliver, 1, LONG)
    async with running(config):
        await reads(config.ledger, "SELECT status FROM signals", ("executed",), seconds=20)
        server.stop()
        alarms = "SELECT count(*) FROM events WHERE type = 'AlarmRaised' AND payload LIKE '%\"MAIL\"%'"
        await reads(config.ledger, alarms, (1,), seconds=20)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.deliver, 2, LONG)
        await reads(config.ledger, "SELECT count(*) FROM signals WHERE status = 'executed'", (2,), seconds=30)
