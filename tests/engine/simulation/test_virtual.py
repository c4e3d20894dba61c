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


def test_timers_run_in_order_of_time_and_those_of_one_moment_always_alike() -> None:
    def run() -> list[int]:
        loop = VirtualLoop()
        order: list[int] = []

        async def main() -> None:
            for number, at_ms in enumerate((30, 10, 20, 10, 10)):
                loop.call_at(at_ms / 1000, order.append, number)
            await asyncio.sleep(1)

        run_virtually(loop, main())
        return order

    first = run()
    assert sorted(first[:3]) == [1, 3, 4]
    assert first[3:] == [2, 0]
    assert all(run() == first for _ in range(3))


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
