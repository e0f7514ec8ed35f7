"""Virtual time: sleeping costs nothing, runs repeat, and what would hang says so."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from engine.clock import SteadyClock
from engine.sim.loop import START_NS, Deadlock, Livelock, Overrun, VirtualClock, VirtualLoop, run

SECOND = 1_000_000_000


async def test_a_clock_needs_a_virtual_loop() -> None:
    with pytest.raises(TypeError, match=r"use engine\.sim\.loop\.run"):
        VirtualClock()


class TestTime:
    def test_sleeping_jumps_the_clock_to_the_nanosecond(self) -> None:
        async def main() -> list[int]:
            clock = VirtualClock()
            shown = [clock.now_ns() - START_NS]
            for seconds in (1, 0.000_000_001, 3600):
                await asyncio.sleep(seconds)
                shown.append(clock.now_ns() - START_NS)
            return shown

        assert run(main()) == [0, SECOND, SECOND + 1, 3601 * SECOND + 1]

    def test_sleepers_wake_in_order_of_time(self) -> None:
        async def main() -> list[float]:
            woken: list[float] = []

            async def sleeper(seconds: float) -> None:
                await asyncio.sleep(seconds)
                woken.append(seconds)

            delays = [random.Random(3).uniform(0, 100) for _ in range(200)]
            await asyncio.gather(*map(sleeper, delays))
            return woken

        woken = run(main())
        assert woken == sorted(woken)

    def test_a_timeout_rings_at_its_time(self) -> None:
        async def main() -> float:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.sleep(10), 2.5)
            return asyncio.get_running_loop().time()

        assert run(main()) == 2.5

    def test_a_clock_may_be_set_back_and_forward_and_timers_do_not_care(self) -> None:
        async def main() -> list[int]:
            clock, other = VirtualClock(), VirtualClock()
            clock.step(-5 * SECOND)
            await asyncio.sleep(1)
            back = clock.now_ns() - START_NS
            clock.step(10 * SECOND)
            return [back, clock.now_ns() - START_NS, other.now_ns() - START_NS, clock.mono_ns()]

        assert run(main()) == [-4 * SECOND, 6 * SECOND, SECOND, SECOND]

    def test_the_engines_steady_clock_runs_on_it(self) -> None:
        async def main() -> list[int]:
            clock = VirtualClock()
            steady = SteadyClock(wall=clock.now_ns, mono=clock.mono_ns)
            clock.step(-60 * SECOND)
            await asyncio.sleep(1)
            behind = steady.now_ns() - START_NS
            clock.step(120 * SECOND)
            return [behind, steady.now_ns() - START_NS]

        assert run(main()) == [SECOND, 61 * SECOND]

    def test_after_a_suspension_everything_that_fell_due_is_late(self) -> None:
        async def main() -> list[int]:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            woken: list[int] = []
            for seconds in (1, 2, 90):
                loop.call_later(seconds, lambda: woken.append(loop.elapsed_ns // SECOND))
            loop.jump(60 * SECOND)
            await asyncio.sleep(100)
            return woken

        assert run(main()) == [60, 60, 90]

    def test_a_loop_does_not_go_back(self) -> None:
        loop = VirtualLoop()
        with pytest.raises(ValueError, match="step a clock instead"):
            loop.jump(-1)
        loop.close()


class TestEnd:
    def test_waiting_for_what_never_comes_is_a_deadlock_that_names_who_waits(self) -> None:
        async def main() -> None:
            task = asyncio.create_task(asyncio.Event().wait(), name="reader")
            await task

        with pytest.raises(Deadlock, match="reader"):
            run(main())

    def test_a_task_that_never_sleeps_is_a_livelock(self) -> None:
        async def main() -> None:
            while True:  # noqa: ASYNC110  the mistake itself
                await asyncio.sleep(0)

        with pytest.raises(Livelock):
            run(main())

    def test_a_run_that_takes_too_long_is_ended(self) -> None:
        async def main() -> None:
            while True:  # noqa: ASYNC110  the mistake itself
                await asyncio.sleep(1)

        with pytest.raises(Overrun, match="60 virtual seconds"):
            run(main(), limit_s=60)

    def test_what_is_left_is_cancelled_oldest_first(self) -> None:
        ended: list[int] = []

        async def background(number: int) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append(number)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in range(20):
                loop.create_task(background(number)).add_done_callback(lambda _: None)
            await asyncio.sleep(1)

        run(main())
        assert ended == list(range(20))

    def test_the_tasks_of_a_group_are_cancelled_in_the_same_order_every_time(self) -> None:
        async def main() -> list[int]:
            ended: list[int] = []

            async def member(number: int) -> None:
                try:
                    await asyncio.sleep(1000)
                finally:
                    ended.append(number)

            async def fail() -> None:
                await asyncio.sleep(1)
                raise ValueError("enough")

            with suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    for number in range(50):
                        group.create_task(member(number))
                    group.create_task(fail())
            return ended

        assert run(main()) == run(main()) == list(range(50))


class TestFailures:
    def test_an_exception_in_a_callback_fails_the_run(self) -> None:
        async def main() -> None:
            asyncio.get_running_loop().call_later(1, lambda: 1 // 0)
            await asyncio.sleep(10)

        with pytest.raises(ZeroDivisionError):
            run(main())

    def test_a_task_that_failed_unseen_fails_the_run(self) -> None:
        async def broken() -> None:
            raise KeyError("lost")

        async def main() -> None:
            task = asyncio.create_task(broken())
            await asyncio.sleep(1)
            del task
            await asyncio.sleep(1)

        with pytest.raises(KeyError, match="lost"):
            run(main())

    def test_what_fails_while_a_run_is_wound_up_fails_it(self) -> None:
        async def sore_loser() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                asyncio.get_running_loop().call_soon(lambda: 1 // 0)

        async def main() -> asyncio.Task[None]:
            task = asyncio.create_task(sore_loser())
            await asyncio.sleep(1)
            return task

        with pytest.raises(ZeroDivisionError):
            run(main())

    def test_a_thread_is_refused(self) -> None:
        async def main() -> None:
            await asyncio.to_thread(print)

        with pytest.raises(RuntimeError, match="would not repeat"):
            run(main())

    def test_what_main_raises_comes_out(self) -> None:
        async def main() -> None:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            run(main())
