"""What the course waits for. Its whole is played by tests/scenarios/test_demo.py."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo import plan
from api.demo.driver import (
    Course,
    is_unguarded,
    nothing_under_way,
    played_enough,
    wide_closed,
)
from api.demo.parts import PAPER
from api.demo.stage import DemoFailed


def position(status: str, **fields: Any) -> dict[str, Any]:
    defaults = {"guard": "armed", "exit_reason": None, "strategy": "other"}
    return defaults | {"status": status} | fields


def test_a_position_is_unguarded_until_it_is_open_and_armed() -> None:
    assert is_unguarded(position("opening"))
    assert is_unguarded(position("open", guard="resolving"))
    assert not is_unguarded(position("open"))
    assert not is_unguarded(position("closed", guard="blind"))


def test_orders_are_under_way_while_opening_and_closing() -> None:
    assert nothing_under_way([position("open"), position("closed"), position("rejected")])
    assert not nothing_under_way([position("opening")])
    assert not nothing_under_way([position("closing")])


def test_playback_has_to_show_both_limits() -> None:
    gains = [position("closed", exit_reason="take_profit")] * 4
    assert not played_enough(gains)
    assert played_enough([*gains, position("closed", exit_reason="stop_loss")])
    assert not played_enough([gains[0], position("closed", exit_reason="stop_loss")])


def test_wide_positions_are_waited_for_and_narrow_ones_are_not() -> None:
    wide, narrow = plan.WIDE[0].key, plan.NARROW[0].key
    assert not wide_closed(PAPER, [position("open", strategy=wide)])
    assert wide_closed(
        PAPER, [position("closed", strategy=wide), position("open", strategy=narrow)]
    )


async def refuse(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/dead":
        raise httpx.ConnectError("nobody there")
    return httpx.Response(409, text="not like this")


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course whose processes answer nothing but refusals."""
    made = Course(tmp_path, None, lambda _: None)
    made._client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
    made.url = "http://service"
    return made


async def test_a_refused_signal_ends_the_demo(course: Course) -> None:
    with pytest.raises(DemoFailed, match="signal bnc-spot-1 was answered 409: not like this"):
        await course._send(plan.SIGNALS[0])


async def test_a_process_that_is_not_running_is_told(course: Course) -> None:
    for step in (course._finish(), course._kill_and_restart(), course._control("price", {})):
        with pytest.raises(DemoFailed, match="not running"):
            await step


async def test_a_process_that_does_not_answer_ends_the_demo(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        await course._client.get("http://service/dead")

    monkeypatch.setattr(course, "_play", play)
    with pytest.raises(DemoFailed, match="does not answer: ConnectError"):
        await course.run()
