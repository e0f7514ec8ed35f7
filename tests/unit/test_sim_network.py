"""The fake network: what left arrives or not as the fault says, and what the client hears of it."""

from __future__ import annotations

import asyncio

import pytest

from engine.sim.faults import Fault, Faults, child
from engine.sim.loop import run
from engine.sim.network import (
    HEARTBEAT_S,
    LATE_S,
    ConnectFailed,
    ConnectionLost,
    Network,
    Reply,
    Response,
    TimedOut,
)

TIMEOUT_S = 2.0
LOST = (TimedOut, ConnectionLost)


class Echo:
    """A server that answers with what it was sent, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, bytes]] = []

    def handle(self, method: str, path: str, body: bytes) -> Reply:
        self.heard.append((asyncio.get_running_loop().time(), body))
        return Reply(Response(200, {}, b'{"echo":"' + body + b'"}'))


def network(*kinds: Fault, seed: int = 1) -> tuple[Echo, Network]:
    """A network on which these faults always happen."""
    server, faults = Echo(), Faults(seed, dict.fromkeys(kinds, 1.0))
    return server, Network(server, faults, child(seed, "network"))


def outcome(*kinds: Fault, seed: int = 1) -> tuple[Response | Exception, list[tuple[float, bytes]], float]:
    """What became of one request: its answer, what the server heard within a minute, and when the client knew."""

    async def main() -> tuple[Response | Exception, list[tuple[float, bytes]], float]:
        server, net = network(*kinds, seed=seed)
        result: Response | Exception
        try:
            result = await net.request("POST", "/orders", b"x", TIMEOUT_S)
        except (ConnectFailed, *LOST) as error:
            result = error
        known = asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        return result, server.heard, known

    return run(main())


class TestRequests:
    def test_without_faults_it_is_answered_within_milliseconds(self) -> None:
        answer, heard, known = outcome()
        assert isinstance(answer, Response)
        assert answer.body == b'{"echo":"x"}'
        assert len(heard) == 1
        assert 0 < known < 0.5

    @pytest.mark.parametrize("kind", [Fault.CONNECT_REFUSED, Fault.DNS_FAILURE, Fault.HANG_BEFORE_SEND, Fault.OUTAGE])
    def test_where_no_connection_is_made_nothing_ever_arrives(self, kind: Fault) -> None:
        for seed in range(5):
            error, heard, known = outcome(kind, seed=seed)
            assert isinstance(error, ConnectFailed)
            assert heard == []
            assert known <= TIMEOUT_S

    @pytest.mark.parametrize(
        ("kind", "error", "arrives"),
        [
            (Fault.REQUEST_LOST, TimedOut, False),
            (Fault.RESET_BEFORE_DELIVERY, ConnectionLost, False),
            (Fault.HANG_AFTER_SEND, TimedOut, True),
            (Fault.ACCEPTED_NO_ANSWER, ConnectionLost, True),
            (Fault.ANSWER_AFTER_TIMEOUT, TimedOut, True),
            (Fault.LATE_DELIVERY, TimedOut, True),
        ],
    )
    def test_a_request_without_an_answer_may_have_arrived(
        self, kind: Fault, error: type[Exception], arrives: bool
    ) -> None:
        got, heard, _ = outcome(kind)
        assert type(got) is error
        assert len(heard) == arrives

    def test_a_late_request_arrives_after_the_client_gave_up_and_within_its_bound(self) -> None:
        for seed in range(20):
            _, heard, known = outcome(Fault.LATE_DELIVERY, seed=seed)
            assert known == TIMEOUT_S < heard[0][0] <= LATE_S

    @pytest.mark.parametrize(
        ("kind", "statuses", "arrives"),
        [
            (Fault.HTTP_5XX_BEFORE, range(500, 505), False),
            (Fault.HTTP_5XX_AFTER, range(500, 505), True),
            (Fault.HTTP_403_PAGE, [403], False),
            (Fault.HTTP_429, [429], False),
            (Fault.HTTP_429_NO_WAIT, [429], False),
            (Fault.HTTP_418, [418], False),
        ],
    )
    def test_an_error_page_says_little_of_what_was_done(self, kind: Fault, statuses: list[int], arrives: bool) -> None:
        for seed in range(5):
            answer, heard, _ = outcome(kind, seed=seed)
            assert isinstance(answer, Response)
            assert answer.status in statuses
            assert len(heard) == arrives
            assert ("retry-after" in answer.headers) is (kind in (Fault.HTTP_429, Fault.HTTP_418))

    def test_a_truncated_answer_is_a_true_beginning(self) -> None:
        for seed in range(20):
            answer, heard, _ = outcome(Fault.TRUNCATED_JSON, seed=seed)
            assert isinstance(answer, Response)
            assert len(heard) == 1
            assert len(answer.body) < len(b'{"echo":"x"}')
            assert b'{"echo":"x"}'.startswith(answer.body)

    def test_a_page_with_status_200_comes_whether_it_was_done_or_not(self) -> None:
        done = set()
        for seed in range(20):
            answer, heard, _ = outcome(Fault.GARBAGE_ANSWER, seed=seed)
            assert isinstance(answer, Response)
            assert (answer.status, answer.body[:6]) == (200, b"<html>")
            done.add(len(heard))
        assert done == {0, 1}

    def test_while_banned_everything_is_turned_away(self) -> None:
        async def main() -> list[int]:
            server, faults = Echo(), Faults(1, {Fault.HTTP_418: 1.0})
            net = Network(server, faults, child(1, "network"))
            first = await net.request("GET", "/", b"", TIMEOUT_S)
            faults.rates[Fault.HTTP_418] = 0.0
            again = await net.request("GET", "/", b"", TIMEOUT_S)
            await asyncio.sleep(int(first.headers["retry-after"]))
            after = await net.request("GET", "/", b"", TIMEOUT_S)
            return [first.status, again.status, after.status]

        assert run(main()) == [418, 418, 200]

    def test_a_request_that_left_arrives_though_its_sender_is_gone(self) -> None:
        async def main() -> int:
            server, net = network()
            task = asyncio.create_task(net.request("POST", "/orders", b"x", TIMEOUT_S))
            await asyncio.sleep(0.000_001)
            task.cancel()
            await asyncio.sleep(10)
            return len(server.heard)

        assert run(main()) == 1

    def test_in_an_outage_nothing_connects_until_it_is_over_or_faults_stop(self) -> None:
        async def main() -> list[bool]:
            server, faults = Echo(), Faults(1, {})
            net = Network(server, faults, child(1, "network"))

            async def reaches() -> bool:
                try:
                    await net.request("GET", "/", b"", TIMEOUT_S)
                except ConnectFailed:
                    return False
                return True

            net.outage(300)
            reached = [await reaches()]
            await asyncio.sleep(290)
            reached.append(await reaches())
            await asyncio.sleep(10)
            reached.append(await reaches())
            net.outage(300)
            reached.append(await reaches())
            faults.stop()
            reached.append(await reaches())
            return reached

        assert run(main()) == [False, False, True, False, True]


def pushed(count: int, *kinds: Fault, rate: float = 0.2, seed: int = 1) -> tuple[list[bytes], bool]:
    """Messages that arrive of those sent 0.2 s apart, and whether the stream then ended."""

    async def main() -> tuple[list[bytes], bool]:
        faults = Faults(seed, dict.fromkeys(kinds, rate))
        net = Network(Echo(), faults, child(seed, "network"))
        stream = await net.connect(TIMEOUT_S)
        loop = asyncio.get_running_loop()
        for number in range(count):
            loop.call_later(number * 0.2, net.push, b"message %d" % number)
        got: list[bytes] = []
        try:
            while loop.time() < count * 0.2 + 20:
                got.append(await stream.receive(3 * HEARTBEAT_S))
        except LOST as lost:
            return [m for m in got if m], isinstance(lost, ConnectionLost)
        stream.close()
        return [m for m in got if m], False

    return run(main())


class TestStreams:
    sent = [b"message %d" % number for number in range(100)]

    def test_without_faults_everything_arrives_once_and_in_order(self) -> None:
        assert pushed(100) == (self.sent, False)

    def test_a_dropped_stream_ends_and_what_follows_is_lost(self) -> None:
        got, ended = pushed(100, Fault.STREAM_DROP, rate=0.03)
        assert ended
        assert got == self.sent[: len(got)]
        assert len(got) < 100

    def test_a_silent_stream_stays_up_and_says_nothing_more(self) -> None:
        got, ended = pushed(100, Fault.STREAM_SILENT, rate=0.03)
        assert not ended
        assert got == self.sent[: len(got)]
        assert len(got) < 100

    def test_a_lost_message_is_just_missing(self) -> None:
        got, _ = pushed(100, Fault.STREAM_LOSS)
        assert got == [m for m in self.sent if m in got]
        assert 50 < len(got) < 100

    def test_duplicates_come_again(self) -> None:
        got, _ = pushed(100, Fault.STREAM_DUPLICATE)
        assert set(got) == set(self.sent)
        assert len(got) > 100

    def test_reordered_messages_are_overtaken(self) -> None:
        got, _ = pushed(100, Fault.STREAM_REORDER)
        assert sorted(got) == sorted(self.sent)
        assert got != self.sent

    def test_delayed_messages_hold_up_those_behind(self) -> None:
        assert pushed(100, Fault.STREAM_DELAY) == (self.sent, False)

    def test_garbage_is_cut_off(self) -> None:
        got, _ = pushed(100, Fault.STREAM_GARBAGE)
        assert any(m not in self.sent for m in got)

    def test_a_quiet_stream_that_works_has_a_heartbeat(self) -> None:
        async def main() -> bytes:
            _, net = network()
            return await (await net.connect(TIMEOUT_S)).receive(HEARTBEAT_S + 1)

        assert run(main()) == b""

    def test_an_outage_breaks_streams_and_lets_none_connect(self) -> None:
        async def main() -> None:
            _, net = network()
            stream = await net.connect(TIMEOUT_S)
            net.outage(60)
            with pytest.raises(ConnectionLost):
                await stream.receive(1)
            with pytest.raises(ConnectFailed):
                await net.connect(TIMEOUT_S)

        run(main())


def test_the_same_seed_gives_the_same_story() -> None:
    async def main(seed: int) -> list[str]:
        server, faults = Echo(), Faults(seed, dict.fromkeys(Fault, 0.03))
        net = Network(server, faults, child(seed, "network"))
        story = []
        for number in range(200):
            try:
                answer = await net.request("POST", "/orders", b"%d" % number, TIMEOUT_S)
                story.append(f"{answer.status} {answer.body!r}")
            except (ConnectFailed, *LOST) as error:
                story.append(repr(error))
            story.append(f"{asyncio.get_running_loop().time():.9f}")
        return [*story, repr(server.heard), repr(faults.counts)]

    assert run(main(1)) == run(main(1))
    assert run(main(1)) != run(main(2))
