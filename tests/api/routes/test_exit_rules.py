"""Every exit rule from the webhook's field to the close, on the running service.

Entries fill at 100.05: the ask of 100 and 5 basis points of slippage, on ticks of 0.1.
"""

from decimal import Decimal
from typing import Any

import pytest

from engine.model.position import Position
from tests.api.service import BTC, Service

LADDER = [{"percent": 4, "fraction": "0.5"}, {"percent": 8, "fraction": "0.5"}]


async def closed(service: Service) -> Position:
    await service.until(lambda: service.queries.positions("closed").items)
    (found,) = service.queries.positions("closed").items
    return found


@pytest.mark.parametrize(
    ("fields", "path", "last", "reason"),
    [
        ({"take_profit_percent": 5}, [104, 101], 105.2, "take_profit"),
        ({"stop_loss": "97"}, [98, 97.1], 97.0, "stop_loss"),
        ({"trailing_percent": 4}, [105, 110, 105.7], 105.6, "trailing"),
        ({"trailing": 3, "trailing_activation": 105}, [104, 101, 106, 103.1], 103.0, "trailing"),
        ({"break_even_percent": 3}, [103.2, 102, 100.3], 100.2, "break_even"),
        (
            {"break_even_percent": 3, "break_even_offset_percent": 1},
            [103.2, 102, 101.2],
            101.0,
            "break_even",
        ),
        ({"ladder": LADDER}, [104.2, 107], 108.2, "ladder"),
        ({"ladder": LADDER, "break_even_after_rung": 1}, [104.2, 101], 100.2, "break_even"),
        ({"stop_loss": 97, "confirm_ticks": 3}, [96, 98, 96, 96], 96.0, "stop_loss"),
        ({"trigger": "book", "stop_loss": 97}, [97.1001], 97.0, "stop_loss"),
    ],
)
async def test_a_rule_closes_when_its_price_comes_and_not_before(
    service: Service, fields: dict[str, Any], path: list[float], last: float, reason: str
) -> None:
    position_id = await service.opened(qty="1", **fields)
    for price in path:
        service.set_price(BTC, price)
        position = service.flow.position(position_id)
        assert position is not None
        assert position.status == "open"
        await service.until(lambda: not service.flow.problems())
    service.set_price(BTC, last)
    assert (await closed(service)).exit_reason == reason


async def test_a_rung_closes_its_part_and_leaves_the_rest_guarded(service: Service) -> None:
    position_id = await service.opened(qty="1", ladder=LADDER)
    service.set_price(BTC, 104.2)
    await service.until(lambda: service.flow.positions()[0].exit_qty)
    key = service.key()
    found = (await service.call("GET", f"/positions/{position_id}", key)).json()
    assert (found["status"], Decimal(found["qty_open"])) == ("open", Decimal("0.5"))
    rules = [line["rule"] for line in found["exits"]]
    assert rules == ["stop_loss", "ladder"], "a ladder that closes all is the take-profit"
    service.set_price(BTC, 108.2)
    assert (await closed(service)).exit_qty == 1


async def test_a_position_is_closed_when_its_time_is_over(service: Service) -> None:
    await service.opened(max_hold_seconds=3600)
    service.clock.advance(3590)
    service.set_price(BTC, 100.0)
    assert service.flow.positions()[0].status == "open"
    service.clock.advance(11)
    service.set_price(BTC, 100.0)
    assert (await closed(service)).exit_reason == "time"


async def test_rules_that_the_price_contradicts_are_the_signals_outcome(service: Service) -> None:
    answer = await service.signal(stop_loss="101")
    assert answer.status_code == 202
    await service.until(lambda: service.queries.signals().items[0].outcome == "rejected")
    (record,) = service.queries.signals().items
    assert record.reason is not None
    assert "stop" in record.reason
    assert service.orders == []
