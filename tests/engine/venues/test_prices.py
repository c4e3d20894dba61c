import math
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from engine.model.errors import Retryable
from engine.venues.prices import PoliteAddress, price, touch
from engine.venues.rest import RateLimited
from tests.engine.simulator.rig import FakeClock
from tests.engine.venues.rest_server import RestServer

PATH = "/price"


class Shape(Struct):
    price: str


class Asked:
    """An address to ask, its server, and the clock of its silences."""

    def __init__(self, rest: RestServer, client: httpx.AsyncClient) -> None:
        self.rest = rest
        self.clock = FakeClock()
        self._address = PoliteAddress(rest.url, client, self.clock)

    async def ask(self, seconds: float = 5.0) -> Shape:
        return await self._address.get(PATH, {"symbol": "X"}, seconds, Shape)


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    async with RestServer().running() as rest, httpx.AsyncClient(trust_env=False) as client:
        rest.answer(PATH, {"price": "1.5"})
        yield Asked(rest, client)


@given(st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, places=12))
def test_a_price_is_the_nearest_double_of_its_text(value):
    text = format(value, "f")
    assert price(text) == float(text)


@pytest.mark.parametrize("written", [None, "", "0", "0.00000000", "-1", "nan", "inf", "1e999", "x",
                                     " 1", "1_0", 0.0, -2.5, math.inf, math.nan])  # fmt: skip
def test_what_is_no_price_is_none(written):
    assert price(written) is None


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        ("1", "2", (1.0, 2.0)),
        ("2", "2", (2.0, 2.0)),
        ("2.1", "2", (None, None)),
        ("0.00000000", "2", (None, None)),
        ("1", "", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_a_touch_has_both_sides_uncrossed_or_none(bid, ask, expected):
    assert touch(bid, ask) == expected


async def test_an_answer_is_read_into_its_shape(asked):
    assert await asked.ask() == Shape("1.5")
    assert asked.rest.asked[PATH] == [{"symbol": "X"}]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_an_error_may_be_asked_again_at_once(asked, status):
    asked.rest.answer(PATH, b"busy", status)
    for _ in range(2):
        with pytest.raises(Retryable, match=f"HTTP {status}"):
            await asked.ask()
    assert asked.rest.count == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"price":[]}', b'{"price":"1', b"\xff"])
async def test_garbage_is_refused(asked, body):
    asked.rest.answer(PATH, body)
    with pytest.raises(Retryable, match="not what was asked for"):
        await asked.ask()


async def test_an_answer_that_does_not_come_is_given_up(asked):
    asked.rest.silent.add(PATH)
    with pytest.raises(Retryable, match=r"no answer in 0\.2 s"):
        await asked.ask(0.2)


async def test_an_unreachable_venue_may_be_asked_again():
    async with httpx.AsyncClient(trust_env=False) as client:
        nowhere = PoliteAddress("http://127.0.0.1:1", client, FakeClock())
        with pytest.raises(Retryable, match="ConnectError"):
            await nowhere.get(PATH, {}, 5.0, Shape)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "7"}, 7),
        (418, {"Retry-After": "120"}, 120),
        (503, {"Retry-After": "3"}, 3),
        (429, {}, 60),
        (403, {}, 600),
        (418, {"Retry-After": "9" * 400}, 3 * 86_400),
    ],
)
async def test_nothing_is_sent_while_the_venue_wants_silence(asked, status, headers, seconds):
    asked.rest.answer(PATH, b"", status, headers)
    with pytest.raises(RateLimited):
        await asked.ask()
    asked.rest.answer(PATH, {"price": "2"})
    asked.clock.advance_ms(seconds * 1000 - 1)
    with pytest.raises(Retryable, match="silence"):
        await asked.ask()
    assert asked.rest.count == 1
    asked.clock.advance_ms(1)
    assert await asked.ask() == Shape("2")
