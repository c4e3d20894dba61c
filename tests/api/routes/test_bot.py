import asyncio
from pathlib import Path

from engine.model.events import FeedLost
from engine.model.ticks import TradeTick
from storage.tables import Scope
from tests.api.service import BTC, Service, running


async def test_health_is_open_and_tells_nothing_else(service: Service) -> None:
    answer = await service.call("GET", "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_a_fresh_install_accepts_signals(service: Service) -> None:
    answer = await service.call("GET", "/bot", service.key(Scope.READ))
    assert answer.json() == {
        "accepting_signals": True,
        "guarding": True,
        "mode": "paper",
        "since": None,
    }


async def test_stopping_is_kept_and_repeating_it_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        key = service.key()
        first = await service.call("POST", "/bot/stop", key)
        again = await service.call("POST", "/bot/stop", key, content=b"{}")
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        assert first.json()["accepting_signals"] is False
        assert first.json()["since"].endswith("Z")
        assert len(service.events("bot.stopped")) == 1
    async with running(tmp_path) as service:
        assert (await service.call("GET", "/bot", key)).json()["accepting_signals"] is False
        started = await service.call("POST", "/bot/start", key)
        assert started.json()["accepting_signals"] is True


async def test_the_switch_takes_no_fields(service: Service) -> None:
    key = service.key()
    for content, status in ((b'{"force":true}', 422), (b"nonsense", 400), (b"x" * 17_000, 413)):
        answer = await service.call("POST", "/bot/stop", key, content=content)
        assert answer.status_code == status
    assert service.flow.accepting
    refused = service.events("request.refused")
    assert {event.data["request"] for event in refused} == {"POST /bot/stop"}
    assert {event.actor for event in refused} == {f"rest:{key[:11]}"}


async def test_ready_tells_why_it_is_not(service: Service) -> None:
    key = service.key(Scope.READ)
    await service.opened()
    answer = await service.call("GET", "/ready", key)
    assert (answer.status_code, answer.json()) == (200, {"status": "guarding", "ticks": {}})
    service.flow.handle(FeedLost((BTC,), "silence", service.clock.now_ns()))
    answer = await service.call("GET", "/ready", key)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(BTC) in answer.json()["detail"]
    assert str(BTC) in answer.json()["errors"][0]["remedy"]
    assert (await service.call("GET", "/bot", key)).json()["guarding"] is False


async def test_ready_counts_the_prices_that_were_held_or_dropped(service: Service) -> None:
    key = service.key(Scope.READ)
    await service.opened()
    object.__setattr__(service.runtime, "dropped", lambda: {"bybit.dropped.older": 2})
    service.flow.on_tick(TradeTick(BTC, 200.0, 0, 0, service.clock.monotonic_ns()))
    service.flow.on_tick(TradeTick(BTC, 100.0, 0, 0, service.clock.monotonic_ns()))
    answer = await service.call("GET", "/ready", key)
    assert (answer.status_code, answer.json()["ticks"]) == (
        200,
        {"bybit.dropped.older": 2, "bybit.last.contradicted": 1, "bybit.last.held": 1},
    )


async def test_a_stalled_switch_is_answered_in_time(service: Service) -> None:
    key = service.key()
    released, loop = asyncio.Event(), asyncio.get_running_loop()
    service.journal.gate = lambda: asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
    assert (await service.call("POST", "/bot/stop", key)).status_code == 503
    released.set()
    assert (await service.call("POST", "/bot/stop", key)).status_code == 200
