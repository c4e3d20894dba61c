import asyncio

import pytest

from engine.clock import SystemClock
from engine.simulator.market_pace import Pace, VenueTime
from tests.engine.simulator.rig import FakeClock


def test_venue_time_ignores_steps_of_the_wall_clock() -> None:
    clock = FakeClock()
    time = VenueTime(clock)
    start_ms = time.now_ms()
    clock.utc_ns -= 3_600_000_000_000
    clock.mono_ns += 250_000_000
    assert time.now_ms() - start_ms == 250


async def test_source_time_is_multiplied_by_speed() -> None:
    clock = FakeClock()
    pace = Pace(VenueTime(clock), 4.0)
    clock.advance_ms(500)
    assert pace.elapsed_s() == pytest.approx(2.0)
    assert pace.venue_ms(2.0) == VenueTime(clock).now_ms()


async def test_a_pause_holds_source_time() -> None:
    clock = FakeClock()
    pace = Pace(VenueTime(clock), 1.0)
    clock.advance_ms(1000)
    pace.pause()
    pace.pause()
    clock.advance_ms(5000)
    assert pace.paused
    assert pace.elapsed_s() == pytest.approx(1.0)
    pace.resume()
    pace.resume()
    clock.advance_ms(500)
    assert pace.elapsed_s() == pytest.approx(1.5)
    assert not pace.paused


async def test_waits_end_at_absolute_times() -> None:
    pace = Pace(VenueTime(SystemClock()), 10.0)
    for step in range(1, 41):
        await pace.until(step * 0.05)
    assert 2.0 <= pace.elapsed_s() < 2.6


async def test_waiting_goes_on_after_a_pause() -> None:
    pace = Pace(VenueTime(SystemClock()), 1.0)
    pace.pause()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(pace.until(0.0))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        pace.resume()
