"""What goes wrong with account events on their way to a session."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import websockets

from engine.model.instrument import Market
from engine.simulator.dialects.faults import Fault, FaultKind, Faults
from engine.simulator.dialects.private_stream import PrivateStream
from tests.engine.simulator.dialects.bybit_rig import Trader, events, trading
from tests.engine.simulator.rig import Client, FakeClock


class Listener:
    """A session as the stream sees it."""

    def __init__(self, conn: str = "c1") -> None:
        self.conn = conn
        self.topics: dict[str, None] = {"order": None}
        self.got: list[bytes] = []
        self.is_cut = False

    def tell(self, data: bytes) -> None:
        self.got.append(data)

    def cut(self) -> None:
        self.is_cut = True


class Wire:
    """A stream with one logged-in session, and the faults that meet it."""

    def __init__(self) -> None:
        self.faults = Faults(FakeClock())
        self.stream = PrivateStream("bybit", self.faults)
        self.session: Any = Listener()
        self.stream.join(self.session)
        self.stream.log_in(self.session)

    def fault(self, kind: FaultKind, **fields: Any) -> None:
        self.faults.add(Fault(kind, **{"left": 1, **fields}))

    def push(self, *texts: str, market: Market | None = Market.LINEAR) -> list[str]:
        for text in texts:
            self.stream.push("order", market, text.encode())
        return self.heard

    @property
    def heard(self) -> list[str]:
        return [data.decode() for data in self.session.got]


async def test_only_sessions_that_logged_in_hear_their_topics() -> None:
    wire = Wire()
    stranger: Any = Listener("c2")
    wire.stream.join(stranger)
    wire.stream.push("wallet", None, b"w")
    assert wire.push("1") == ["1"]
    assert stranger.got == []
    wire.stream.send(stranger, None, b"x")
    wire.stream.log_out(wire.session)
    assert wire.push("2") == ["1"]
    wire.stream.leave(wire.session)
    assert list(wire.stream.hub) == [stranger]


async def test_an_event_is_lost_or_comes_twice() -> None:
    wire = Wire()
    wire.fault(FaultKind.DROP_EVENT)
    wire.push("1", "2")
    wire.fault(FaultKind.DUPLICATE_EVENT)
    assert wire.push("3", "4") == ["2", "3", "3", "4"]


async def test_an_event_comes_after_the_next_one() -> None:
    wire = Wire()
    wire.fault(FaultKind.REORDER_EVENTS)
    assert wire.push("1", "2", "3") == ["2", "1", "3"]


async def test_an_event_that_nothing_follows_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.dialects.private_stream.HELD_AT_MOST_S", 0.05)
    wire = Wire()
    wire.fault(FaultKind.REORDER_EVENTS)
    assert wire.push("1") == []
    await asyncio.sleep(0.1)
    assert wire.heard == ["1"]


async def test_late_events_keep_their_order() -> None:
    wire = Wire()
    wire.fault(FaultKind.LAG, delay_ms=80)
    assert wire.push("1", "2") == []
    await asyncio.sleep(0.04)
    assert wire.heard == []
    await asyncio.sleep(0.1)
    assert wire.heard == ["1", "2"]
    assert wire.push("3") == ["1", "2", "3"]


async def test_a_silent_stream_and_a_cut_one() -> None:
    wire = Wire()
    wire.fault(FaultKind.MUTE, left=2)
    assert wire.push("1", "2", "3") == ["3"]
    wire.fault(FaultKind.DISCONNECT)
    assert wire.push("4") == ["3"]
    assert wire.session.is_cut


@pytest.mark.parametrize(
    ("aim", "market", "hit"),
    [
        ({"venue": "binance"}, Market.LINEAR, False),
        ({"market": "spot"}, Market.LINEAR, False),
        ({"market": "spot"}, None, True),
        ({"conns": frozenset({"c9"})}, Market.LINEAR, False),
        ({"conns": frozenset({"c1"}), "venue": "bybit", "market": "linear"}, Market.LINEAR, True),
    ],
)
async def test_events_are_struck_where_a_fault_is_aimed(
    aim: dict[str, Any], market: Market | None, hit: bool
) -> None:
    wire = Wire()
    wire.fault(FaultKind.DROP_EVENT, **aim)
    assert (wire.push("1", market=market) == []) is hit


async def fill(trader: Trader, client: Client) -> list[str]:
    """Fill an order; returns the statuses that the session heard."""
    client.texts.clear()
    await trader.filled("Buy", "0.01")
    await client.drain(0.2)
    return [row["orderStatus"] for row in events(client, "order")]


async def test_faults_of_events_are_set_from_outside(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.stream("order") as client:
        assert await fill(trader, client) == ["New", "Filled"]
        await trader.rig.fault("drop_event", venue="bybit")
        assert await fill(trader, client) == ["Filled"]
        await trader.rig.fault("duplicate_event", count=2)
        assert await fill(trader, client) == ["New", "New", "Filled", "Filled"]
        await trader.rig.fault("reorder_events")
        assert await fill(trader, client) == ["Filled", "New"]
        await trader.rig.fault("lag", delay_ms=1000, duration_ms=200)
        assert await fill(trader, client) == []
        await client.drain(1.0)
        assert [row["orderStatus"] for row in events(client, "order")] == ["New", "Filled"]


async def test_a_cut_session_ends_without_a_word(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.stream("order") as client:
        await trader.rig.fault("disconnect", venue="bybit")
        await trader.filled("Buy", "0.01")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.text()
        assert closed.value.rcvd is None
        async with trader.stream("order") as again:
            assert await fill(trader, again) == ["New", "Filled"]


async def test_sessions_are_late_apart_from_each_other() -> None:
    wire = Wire()
    other: Any = Listener("c2")
    wire.stream.join(other)
    wire.stream.log_in(other)
    wire.fault(FaultKind.LAG, delay_ms=50, conns=frozenset({"c2"}))
    assert wire.push("1") == ["1"]
    await asyncio.sleep(0.1)
    assert other.got == [b"1"]
