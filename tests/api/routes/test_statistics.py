from decimal import Decimal
from pathlib import Path

import pytest

from engine.settings import TradingMode
from tests.api.service import BTC, ETH, Service, running

FIELDS = (
    "quote trades wins losses win_rate gross_pnl fees funding net_pnl profit_factor expectancy"
    " average_win average_loss max_drawdown max_drawdown_percent sharpe reaction_ms by_strategy"
    " by_instrument by_exit_reason"
)


async def traded(service: Service) -> None:
    """Win on Bitcoin by take-profit, then lose on Ether by stop-loss."""
    for name, price, strategy in ((BTC, 118.0, "trend"), (ETH, 8.2, "dip")):
        await service.opened(name, strategy=strategy)
        service.set_price(name, price)
        await service.until(lambda: not service.flow.positions())
        service.clock.advance(3600)
    await service.until(lambda: len(service.queries.positions("closed").items) == 2)


async def test_undefined_ratios_are_null(service: Service) -> None:
    found = (await service.call("GET", "/statistics", service.key())).json()
    assert " ".join(found) == FIELDS
    assert (found["quote"], found["trades"], found["net_pnl"]) == ("USDT", 0, "0")
    nulls = ("win_rate", "profit_factor", "expectancy", "average_win", "average_loss", "sharpe")
    assert [found[name] for name in nulls] == [None] * 6
    assert found["reaction_ms"] == {"p50": None, "p99": None}


async def test_trades_are_summed_up_with_money_as_text(service: Service) -> None:
    await traded(service)
    found = (await service.call("GET", "/statistics", service.key())).json()
    assert (found["trades"], found["wins"], found["losses"], found["win_rate"]) == (2, 1, 1, 0.5)
    assert Decimal(found["net_pnl"]) == Decimal(found["gross_pnl"]) - Decimal(found["fees"])
    assert isinstance(found["profit_factor"], float)
    assert set(found["by_strategy"]) == {"trend", "dip"}
    assert set(found["by_instrument"]) == {str(BTC), str(ETH)}
    assert set(found["by_exit_reason"]) == {"take_profit", "stop_loss"}
    assert isinstance(found["by_strategy"]["trend"]["net_pnl"], str)
    assert found["reaction_ms"]["p50"] is not None


async def test_period_strategy_and_quote_choose_the_trades(service: Service) -> None:
    await traded(service)
    key = service.key()
    closed = service.queries.closed_positions()
    between = (closed[1].exit_time_ns or 0) // 10**9 - 60
    for query, trades in {
        f"from={between}": 1,
        f"to={between}": 1,
        f"from={between}&to={between + 7200}": 1,
        "from=2000-01-01&to=2099-01-01T00:00:00Z": 2,
        "strategy=trend": 1,
        "strategy=none": 0,
        "quote=usdc": 0,
        "quote=": 2,
    }.items():
        answer = await service.call("GET", f"/statistics?{query}", key)
        assert (query, answer.json().get("trades")) == (query, trades)


async def test_the_drawdown_is_measured_from_what_was_earned_before(service: Service) -> None:
    await traded(service)
    key = service.key()
    closed = service.queries.closed_positions()
    between = (closed[1].exit_time_ns or 0) // 10**9 - 60
    found = (await service.call("GET", f"/statistics?from={between}", key)).json()
    start = 20_000 + closed[0].net_pnl
    expected = -closed[1].net_pnl / start * 100
    assert found["max_drawdown_percent"] == pytest.approx(float(expected))


async def test_off_paper_the_equity_is_reckoned_back_from_the_balances(tmp_path: Path) -> None:
    async with running(tmp_path, trading_mode=TradingMode.TESTNET) as service:
        await traded(service)
        found = (await service.call("GET", "/statistics?strategy=dip", service.key())).json()
        assert found["max_drawdown_percent"] == pytest.approx(
            float(-service.queries.closed_positions()[1].net_pnl) / 200, rel=0.05
        )


@pytest.mark.parametrize("day", ["0001-01-01", "1970-12-31", "9999-12-31"])
async def test_a_day_that_no_clock_reaches_is_refused(tmp_path: Path, day: str) -> None:
    async with running(tmp_path, timezone="Asia/Tokyo") as service:
        for name in ("from", "to"):
            answer = await service.call("GET", f"/statistics?{name}={day}", service.key())
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json()["errors"]] == [name]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-02-02&to=2026-02-01", "to"),
        ("form=2026-02-02", "form"),
    ],
)
async def test_wrong_periods_name_their_field(service: Service, query: str, field: str) -> None:
    answer = await service.call("GET", f"/statistics?{query}", service.key())
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
