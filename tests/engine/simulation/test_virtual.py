"""Virtual time: it jumps, it replays, and nothing is left behind."""

import asyncio

import pytest

from engine.simulation.virtual import Deadlock, VirtualLoop, run_virtually

SECOND = 10**9


def test_time_begins_at_nothing_and_jumps_to_what_is_next() -> None:
    loop = VirtualLoop()
    seen = []

    async def main() -> str:
        seen.append(loop.now_ns)
        await asyncio.sleep(3600)
        seen.append(loop.now_ns)
        await asyncio.sleep(0.001)
        seen.append(loop.now_ns)
        return "done"

    assert run_virtually(loop, main()) == "done"
    assert seen == [0, 3600 * SECOND, 3600 * SECOND + 10**6]
    assert loop.time() == pytest.approx(3600.001)


def test_what_is_ready_runs_before_time_passes() -> None:
    loop = VirtualLoop()
    seen = []

    async def main() -> None:
        loop.call_later(0, lambda: seen.append(loop.now_ns))
        for _ in range(5):
            await asyncio.sleep(0)
        assert loop.now_ns == 0

    run_virtually(loop, main())
    assert seen == [0]


def test_timers_run_in_order_of_time_and_those_of_one_moment_in_the_order_they_were_set() -> None:
    loop = VirtualLoop()
    order: list[int] = []

    async def main() -> None:
        for number, at_ms in enumerate((30, 10, 20, 10, 10)):
            set_timer = loop.at if number % 2 else loop.call_at
            set_timer(at_ms / 1000, order.append, number)
        await asyncio.sleep(1)

    run_virtually(loop, main())
    assert order == [1, 3, 4, 2, 0]


def test_a_time_that_is_over_is_now() -> None:
    loop = VirtualLoop()
    seen = []

    async def main() -> None:
        await asyncio.sleep(5)
        loop.at(1.0, lambda: seen.append(loop.now_ns))
        await asyncio.sleep(1)

    run_virtually(loop, main())
    assert seen == [5 * SECOND]


def test_a_cancelled_timer_neither_runs_nor_lets_time_pass() -> None:
    loop = VirtualLoop()
    seen: list[int] = []

    async def main() -> int:
        loop.call_later(3600, seen.append, 1).cancel()
        loop.call_later(1, seen.append, 2).cancel()
        both = [loop.call_later(2, seen.append, 3), loop.call_later(2, seen.append, 4)]
        loop.at(2, both[1].cancel)
        await asyncio.sleep(3)
        return loop.now_ns

    assert run_virtually(loop, main()) == 3 * SECOND
    assert seen == [3, 4]


def test_what_is_cancelled_in_its_own_moment_does_not_run() -> None:
    loop = VirtualLoop()
    seen: list[int] = []
    callbacks: list[asyncio.Handle] = []

    async def main() -> None:
        loop.call_soon(lambda: [each.cancel() for each in callbacks])
        callbacks.append(loop.call_soon(seen.append, 1))
        await asyncio.sleep(1)

    run_virtually(loop, main())
    assert callbacks
    assert seen == []


def test_an_error_of_a_plain_function_ends_the_loop() -> None:
    loop = VirtualLoop()

    def fail() -> None:
        raise ValueError("in the world itself")

    async def main() -> None:
        loop.at(1, fail)
        await asyncio.sleep(5)

    with pytest.raises(ValueError, match="in the world itself"):
        run_virtually(loop, main())
    assert loop.now_ns == SECOND


def test_a_task_waits_for_another_without_time_passing() -> None:
    loop = VirtualLoop()

    async def main() -> int:
        queue: asyncio.Queue[int] = asyncio.Queue()
        task = loop.create_task(queue.get())
        await asyncio.sleep(0)
        queue.put_nowait(7)
        return await task + loop.now_ns

    assert run_virtually(loop, main()) == 7


def test_a_timeout_is_virtual_too() -> None:
    loop = VirtualLoop()

    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        return loop.now_ns

    assert run_virtually(loop, main()) == 5 * SECOND


def test_a_deadlock_is_told() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="no timer"):
        run_virtually(VirtualLoop(), main())


def test_tasks_that_are_left_are_ended() -> None:
    loop = VirtualLoop()
    ended = []

    async def left() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(loop.now_ns)

    async def main() -> None:
        main.task = loop.create_task(left())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    run_virtually(loop, main())
    assert ended == [SECOND]
    assert loop.is_closed()


def test_an_error_comes_out_and_the_loop_is_closed() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        run_virtually(loop, main())
    assert loop.is_closed()
