"""Screens and their engine over a real Unix socket: views out, intents in, one hand, and an engine that waits for nobody.

Longer than most files: one socket, both of its sides.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.link.address import UnsafeSocket, check_socket, listen, socket_path
from engine.link.base import EngineLink, LinkLost, LinkState
from engine.link.client import SocketLink
from engine.link.hub import Hub, Kind
from engine.link.local import InProcessLink
from engine.link.messages import (
    MAX_FRAME,
    PROTOCOL,
    Hello,
    Push,
    Query,
    Refused,
    ScreenMessage,
    Subscribe,
    Welcome,
    decode_for_screen,
    encode,
)
from engine.link.server import LinkServer
from engine.link.viewer import Bounds
from engine.link.wire import frame, read_frame
from engine.model.command import ClosePosition, PlaceOrder, SetKill, SetLeverage
from engine.model.market import Side
from engine.model.order import OrderType
from engine.views import LogView, TradesView
from hoox_tui.cli.ask import answers
from tests.small_engine import SmallEngine


def buy(request_id: str = "buy-1") -> PlaceOrder:
    return PlaceOrder(
        request_id=request_id, instrument="sim.perp:BTCUSDT", side=Side.BUY, type=OrderType.MARKET, size=Decimal("0.1")
    )


def close(request_id: str = "close-1") -> ClosePosition:
    return ClosePosition(request_id=request_id, position="p1")


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for is told by nobody
            await asyncio.sleep(0.005)


def text_of(link: EngineLink) -> str:
    view = link.views.get("log")
    return view.lines[0].text if isinstance(view, LogView) and view.lines else ""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as a socket's path has to be; made 0700."""
    with tempfile.TemporaryDirectory(prefix="hoox-") as made:
        folder = Path(made) / "hoox"
        folder.mkdir(mode=0o700)
        yield folder


@pytest.fixture
def desk() -> SmallEngine:
    return SmallEngine()


@pytest.fixture
def hub(desk: SmallEngine) -> Hub:
    return Hub(desk)


@pytest.fixture
async def server(folder: Path, hub: Hub) -> AsyncIterator[LinkServer]:
    made = LinkServer(folder / "desk.sock", hub)
    await made.start()
    yield made
    await made.stop("the test is over")


Open = Callable[..., Any]


@pytest.fixture
async def attach(folder: Path) -> AsyncIterator[Open]:
    links: list[SocketLink] = []

    async def attach_one(name: str = "screen", **options: Any) -> SocketLink:
        link = SocketLink(folder / "desk.sock", name, **options)
        links.append(link)
        await link.start()
        return link

    yield attach_one
    for link in links:
        await link.close()


class Raw:
    """A connection below the client: bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def receive(self) -> ScreenMessage | None:
        async with asyncio.timeout(5):
            body = await read_frame(self.reader)
        return None if body is None else decode_for_screen(body)


@pytest.fixture
async def raw(server: LinkServer) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_unix_connection(server.path)
    yield Raw(reader, writer)
    writer.transport.abort()


class TestViews:
    async def test_what_was_just_recorded_does_not_wait_for_the_next_beat(
        self, folder: Path, hub: Hub, desk: SmallEngine, attach: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.link.server.MAX_HZ", 0.01)
        server = LinkServer(folder / "desk.sock", hub)
        await server.start()
        try:
            link = await attach()
            desk.show("before")
            link.subscribe(("log",))
            await until(lambda: text_of(link) == "before")
            desk.seq += 1
            desk.show("recorded")
            server.hurry()
            await until(lambda: text_of(link) == "recorded")
        finally:
            await server.stop("the test is over")

    async def test_a_screen_sees_the_latest_view_of_the_topics_it_wants(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach()
        link.subscribe(("log",))
        desk.show("one")
        desk.show("two")
        await until(lambda: text_of(link) == "two")

    async def test_an_unchanged_view_is_not_sent_again(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach()
        link.subscribe(("log",))
        await until(lambda: "log" in link.views)
        first = link.views["log"]
        desk.shown["status"] = TradesView(1, ())
        await until(lambda: link.views["status"] == desk.shown["status"])
        assert link.views["log"] is first

    async def test_an_idle_engine_still_gives_signs_of_life(self, server: LinkServer, attach: Open) -> None:
        link = await attach()
        heard = set[int]()
        await until(lambda: heard.add(link.last_frame_ns) or len(heard) >= 4)

    async def test_nothing_comes_before_the_welcome(
        self, server: LinkServer, raw: Raw, desk: SmallEngine, attach: Open
    ) -> None:
        other = await attach()
        await until(lambda: "status" in other.views)
        raw.writer.write(frame(encode(Hello(PROTOCOL, "late"))))
        assert isinstance(await raw.receive(), Welcome)

    async def test_the_same_views_come_without_a_socket(self, desk: SmallEngine, hub: Hub) -> None:
        async def begin() -> Hub:
            return hub

        link = InProcessLink(begin)
        await link.start()
        link.subscribe(("log",))
        desk.show("here")
        await until(lambda: text_of(link) == "here")
        assert (await link.submit(close())).ok
        await link.close()

    async def test_a_viewer_that_does_not_read_is_dropped_while_others_are_served(
        self, folder: Path, desk: SmallEngine, hub: Hub, attach: Open
    ) -> None:
        server = LinkServer(folder / "desk.sock", hub, bounds=Bounds(soft=1 << 10, behind_ns=100_000_000))
        await server.start()
        stuck = socket.socket(socket.AF_UNIX)
        stuck.connect(os.fspath(server.path))
        stuck.sendall(frame(encode(Hello(PROTOCOL, "stuck"))) + frame(encode(Subscribe(("log",)))))
        link = await attach()
        link.subscribe(("log",))
        await until(lambda: desk.sessions[-1][2] == 2)
        for number in range(400):
            desk.show(f"{number} " + "x" * 50_000)
            await until(lambda n=number: text_of(link).startswith(f"{n} "))
            if desk.sessions[-1][2] == 1:
                break
        assert desk.sessions[-1][2] == 1, "only the screen that reads is left"
        assert link.state is LinkState.CONNECTED
        stuck.close()
        await server.stop("over")

    async def test_a_viewer_that_reads_late_gets_fewer_frames_and_the_newest(
        self, folder: Path, desk: SmallEngine, hub: Hub, attach: Open
    ) -> None:
        server = LinkServer(folder / "desk.sock", hub, bounds=Bounds(soft=1 << 10))
        await server.start()
        late = socket.socket(socket.AF_UNIX)
        late.connect(os.fspath(server.path))
        late.sendall(frame(encode(Hello(PROTOCOL, "late"))) + frame(encode(Subscribe(("log",)))))
        link = await attach()
        link.subscribe(("log",))
        shown = 30
        for number in range(shown):
            desk.show(f"{number} " + "x" * 100_000)
            await until(lambda n=number: text_of(link).startswith(f"{n} "))
        late.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=late)
        seen: list[str] = []
        while not seen or seen[-1] != str(shown - 1):
            message = await Raw(reader, writer).receive()
            if isinstance(message, Push) and isinstance(message.view, LogView) and message.view.lines:
                seen.append(message.view.lines[0].text.split()[0])
        assert len(seen) < shown
        writer.transport.abort()
        await server.stop("over")

    async def test_a_viewer_with_too_much_unread_is_dropped_at_once(
        self, server: LinkServer, raw: Raw, desk: SmallEngine
    ) -> None:
        raw.writer.write(frame(encode(Hello(PROTOCOL, "greedy"))))
        desk.answers = {"big": "x" * 900_000}
        raw.writer.write(b"".join(frame(encode(Query(n, "big"))) for n in range(20)))
        await until(lambda: desk.sessions and desk.sessions[-1][2] == 0)


class TestHand:
    async def test_the_first_screen_holds_it_and_disconnecting_frees_it(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        first, second = await attach("first"), await attach("second")
        await until(lambda: first.holder == second.holder == first.welcome.screen)
        await first.close()
        await until(lambda: second.holder == "")
        third = await attach("third")
        await until(lambda: second.holder == third.welcome.screen)

    async def test_taking_it_tells_all_and_disarms(self, server: LinkServer, desk: SmallEngine, attach: Open) -> None:
        first, second = await attach("first"), await attach("second")
        first.set_armed(True)
        await until(lambda: desk.sessions[-1][1])
        second.take_hand()
        await until(lambda: first.holder == second.holder == second.welcome.screen)
        assert desk.sessions[-1] == (second.welcome.screen, False, 2)

    async def test_entries_need_the_hand_and_arm_exits_need_neither(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        hand, watcher = await attach("hand"), await attach("watcher")
        refused = await watcher.submit(buy("b1"))
        assert (refused.ok, refused.code) == (False, "NOT_HAND")
        assert "H takes it" in refused.message
        refused = await hand.submit(buy("b2"))
        assert (refused.ok, refused.code) == (False, "DISARMED")
        assert "press a" in refused.message
        hand.set_armed(True)
        assert (await hand.submit(buy("b3"))).ok
        assert (await watcher.submit(close())).ok
        assert (await watcher.submit(SetKill(request_id="k1", on=True))).ok

    async def test_a_watcher_can_neither_arm_nor_change_anything_that_is_not_an_exit(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        await attach("hand")
        watcher = await attach("watcher")
        watcher.set_armed(True)
        assert (await watcher.submit(SetKill(request_id="k", on=False))).code == "NOT_HAND"
        assert (await watcher.submit(SetLeverage(request_id="l", instrument="i", leverage=5))).code == "NOT_HAND"
        assert not desk.sessions[-1][1]
        assert desk.carried_out == []

    async def test_a_command_may_close_but_not_open(self, server: LinkServer, desk: SmallEngine, attach: Open) -> None:
        command = await attach("cli", kind=Kind.COMMAND)
        assert command.holder == ""
        assert (await command.submit(close())).ok
        refused = await command.submit(buy())
        assert refused.code == "NOT_A_SCREEN"
        assert "hoox attach" in refused.message

    async def test_a_preview_says_what_is_missing(self, server: LinkServer, attach: Open) -> None:
        link = await attach()
        assert "disarmed" in (await link.preview(buy())).errors[0]


class TestIntents:
    async def test_an_intent_cut_off_on_the_way_is_sent_again_with_its_id_and_carried_out_once(
        self, folder: Path, desk: SmallEngine, hub: Hub, attach: Open
    ) -> None:
        server = LinkServer(folder / "desk.sock", hub)
        await server.start()
        link = await attach()
        desk.gate.clear()
        answer = asyncio.create_task(link.submit(close("c-9")))
        await desk.arrived.wait()
        for viewer in server._viewers:
            viewer.drop()
        await until(lambda: link.state is LinkState.LOST)
        desk.gate.set()
        assert (await answer).ok
        assert [command.request_id for command in desk.carried_out] == ["c-9"]
        assert link.state is LinkState.CONNECTED
        await server.stop("over")

    async def test_an_intent_asked_twice_at_once_is_one_intent(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach()
        first, second = await asyncio.gather(link.submit(close("c")), link.submit(close("c")))
        assert first == second
        assert len(desk.carried_out) == 1

    async def test_without_an_answer_the_outcome_is_unknown_not_guessed(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach(answer_s=0.05)
        desk.gate.clear()
        with pytest.raises(LinkLost, match="no answer to intent close-1"):
            await link.submit(close())
        desk.gate.set()
        assert len(desk.carried_out) == 1

    async def test_an_intent_of_a_screen_that_left_is_still_carried_out(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach()
        desk.gate.clear()
        answer = asyncio.create_task(link.submit(close()))
        await desk.arrived.wait()
        await link.close()
        with pytest.raises(LinkLost):
            await answer
        desk.gate.set()
        await until(lambda: not server._viewers)
        assert len(desk.carried_out) == 1

    async def test_queries_answer_with_data_or_with_what_is_wrong(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach("cli", kind=Kind.COMMAND)
        desk.answers = {"positions": {"rows": [{"symbol": "BTCUSDT"}]}, "huge": "x" * (MAX_FRAME + 1)}
        assert await link.query("positions") == {"rows": [{"symbol": "BTCUSDT"}]}
        with pytest.raises(RuntimeError, match="knows no query 'nonsense'"):
            await link.query("nonsense")
        with pytest.raises(RuntimeError, match="too long"):
            await link.query("huge")
        assert link.state is LinkState.CONNECTED

    async def test_a_query_that_fails_in_the_engine_is_answered_without_its_trace_and_the_line_stays(
        self, server: LinkServer, desk: SmallEngine, attach: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fails(name: str) -> None:
            raise RecursionError("apiKey hx_secret")

        link = await attach("cli", kind=Kind.COMMAND)
        desk.answers = {"positions": {"rows": []}}
        desk.why = fails  # type: ignore[method-assign]
        with pytest.raises(
            RuntimeError, match=r"could not answer 'why:O1' \(RecursionError\); its log says where"
        ) as said:
            await link.query("why:O1")
        assert "hx_secret" not in str(said.value)
        assert "query 'why:O1' failed in the engine" in caplog.text
        assert await link.query("positions") == {"rows": []}

    async def test_stopping_answers_what_is_in_flight_and_says_why(
        self, server: LinkServer, desk: SmallEngine, attach: Open
    ) -> None:
        link = await attach()
        desk.gate.clear()
        answer = asyncio.create_task(link.submit(close()))
        await desk.arrived.wait()
        stop = asyncio.create_task(server.stop("maintenance"))
        desk.gate.set()
        assert (await answer).ok
        await stop
        await until(lambda: link.state is LinkState.LOST)
        assert link.detail == "the engine stopped: maintenance"
        assert not server.path.exists()

    async def test_a_screen_finds_the_engine_that_starts_later(self, folder: Path, hub: Hub, attach: Open) -> None:
        link = await attach()
        assert link.state is LinkState.LOST
        assert "no engine answers" in link.detail
        link.subscribe(("log",))
        server = LinkServer(folder / "desk.sock", hub)
        await server.start()
        await until(lambda: link.state is LinkState.CONNECTED and "log" in link.views)
        await server.stop("over")


class TestDoor:
    @pytest.mark.skipif(sys.platform == "darwin", reason="who finds the queue full is refused there")
    async def test_an_engine_that_stands_still_keeps_nobody_waiting_and_is_not_taken_for_none(
        self, folder: Path
    ) -> None:
        """Nobody is taken in, and who gave up stays in the queue until it is full."""
        path = folder / "e.sock"
        with listen(path), ExitStack() as waiting:
            with suppress(BlockingIOError):
                while True:
                    one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                    one.setblocking(False)
                    one.connect(str(path))
            assert answers(path)
            link = SocketLink(path, "late")
            await link.start()
            assert (link.state, link.detail) == (
                LinkState.LOST,
                "the engine listens, but takes nobody in: it stands still",
            )
            await link.close()

    async def test_another_protocol_is_refused_in_words(self, raw: Raw) -> None:
        raw.writer.write(frame(encode(Hello(PROTOCOL + 1, "new"))))
        answer = await raw.receive()
        assert isinstance(answer, Refused)
        assert answer.code == "PROTOCOL"
        assert "different versions" in answer.message
        assert await raw.receive() is None

    @pytest.mark.parametrize(
        "data",
        [frame(b"\xc1garbage"), frame(msgspec.msgpack.encode({"type": "Hello"})), b"\xff\xff\xff\xff" + b"x" * 64],
    )
    async def test_garbage_and_oversized_frames_end_the_connection(
        self, raw: Raw, desk: SmallEngine, data: bytes
    ) -> None:
        raw.writer.write(data)
        answer = await raw.receive()
        assert isinstance(answer, Refused)
        assert answer.code == "BAD_FRAME"
        assert await raw.receive() is None

    async def test_garbage_after_the_greeting_frees_the_hand(self, raw: Raw, desk: SmallEngine) -> None:
        raw.writer.write(frame(encode(Hello(PROTOCOL, "x"))) + frame(b"\x00"))
        assert isinstance(await raw.receive(), Welcome)
        while not isinstance(answer := await raw.receive(), Refused):
            assert answer is not None
        assert answer.code == "BAD_FRAME"
        await until(lambda: desk.sessions[-1] == ("", False, 0))

    async def test_a_message_before_the_greeting_is_refused(self, raw: Raw) -> None:
        raw.writer.write(frame(encode(Query(1, "positions"))))
        answer = await raw.receive()
        assert isinstance(answer, Refused)
        assert answer.code == "NO_HELLO"

    async def test_another_user_is_refused(self, folder: Path, hub: Hub, attach: Open) -> None:
        server = LinkServer(folder / "desk.sock", hub, uid=os.geteuid() + 1)
        await server.start()
        link = await attach()
        assert link.state is LinkState.LOST
        assert f"you are {os.geteuid()}" in link.detail
        await server.stop("over")

    async def test_the_socket_is_for_its_user_only(self, server: LinkServer) -> None:
        assert server.path.stat().st_mode & 0o777 == 0o600
        assert server.path.parent.stat().st_mode & 0o777 == 0o700

    def test_an_open_folder_is_refused(self, folder: Path) -> None:
        folder.chmod(0o755)
        with pytest.raises(UnsafeSocket, match="chmod 700"):
            listen(folder / "desk.sock")

    def test_a_linked_folder_is_refused(self, folder: Path) -> None:
        link = folder.parent / "link"
        link.symlink_to(folder)
        with pytest.raises(UnsafeSocket, match="symbolic link"):
            listen(link / "desk.sock")

    def test_a_link_or_file_in_the_sockets_place_is_refused_and_left_alone(self, folder: Path) -> None:
        precious = folder / "precious"
        precious.write_text("data")
        (folder / "desk.sock").symlink_to(precious)
        for path in (folder / "desk.sock", precious):
            with pytest.raises(UnsafeSocket, match="not a socket of yours"):
                listen(path)
            with pytest.raises(UnsafeSocket, match="not a socket of yours"):
                check_socket(path)
        assert precious.read_text() == "data"

    def test_a_path_the_system_cannot_hold_is_refused(self, folder: Path) -> None:
        with pytest.raises(UnsafeSocket, match="at most 103"):
            listen(folder / ("x" * 104))

    def test_a_socket_left_by_a_dead_engine_is_replaced(self, folder: Path) -> None:
        for _ in range(2):
            listen(folder / "desk.sock").close()
        assert (folder / "desk.sock").is_socket()

    async def test_an_engine_whose_socket_was_cleaned_away_can_be_found_again(
        self, server: LinkServer, attach: Open
    ) -> None:
        watching = await attach("watching")
        shutil.rmtree(server.path.parent)
        await until(server.path.exists)
        assert (await attach("new")).state is LinkState.CONNECTED
        assert watching.state is LinkState.CONNECTED

    def test_one_ledger_has_one_socket_however_it_is_spelled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert socket_path(Path("sim.sqlite")) == socket_path(tmp_path / "a" / ".." / "sim.sqlite")
        assert socket_path(Path("sim.sqlite")) != socket_path(Path("paper.sqlite"))
