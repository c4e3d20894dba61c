from decimal import Decimal

from msgspec.structs import replace

from api.schemas import balance_json, bot_json, list_json, moment, money, position_json
from engine.model.events import Balance
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, ExitReason, Percent, Side
from engine.model.instrument import Market
from engine.model.position import Position, PositionStatus
from engine.model.ticks import PriceSource
from tests.api.clocks import START_NS
from tests.api.service import BTC, instrument

OPENING = Position(
    id="p1",
    instrument=instrument(BTC),
    side=Side.SHORT,
    exits=Exits(Percent(Decimal(15)), Disarmed()),
    trigger=PriceSource.LAST,
    created_at_ns=START_NS,
)
OPEN = replace(
    OPENING,
    status=PositionStatus.OPEN,
    qty=Decimal(3),
    entry_value=Decimal(100),
    entry_time_ns=START_NS,
    take_profit=Decimal("28.3"),
    fees=Decimal("1E-7"),
)


def test_money_is_plain_and_undefined_is_null() -> None:
    assert money(Decimal("1E+3")) == "1000"
    assert money(Decimal("1.500E-7")) == "0.00000015"
    assert money(None) is None
    assert moment(None) is None
    assert moment(START_NS) == "2026-01-31T12:00:00.000000Z"


def test_before_its_entry_a_position_has_no_price_and_no_exits() -> None:
    found = position_json(OPENING)
    assert (found["qty"], found["entry_price"], found["exits"]) == ("0", None, [])
    assert (found["take_profit"], found["stop_loss"], found["entry_time"]) == (None, None, None)
    assert found["unrealized_pnl"] == "0"


def test_without_a_price_distance_and_unrealised_pnl_are_undefined() -> None:
    found = position_json(OPEN)
    assert found["unrealized_pnl"] is None
    assert found["exits"] == [
        {"rule": "take_profit", "threshold": "28.3", "distance": None, "state": "armed"}
    ]
    assert found["entry_price"] == "33.333333333333333333"
    assert (found["fees"], found["net_pnl"]) == ("0.0000001", "-0.0000001")


def test_a_short_gains_as_the_price_falls() -> None:
    found = position_json(replace(OPEN, current_price=Decimal(30)))
    assert found["unrealized_pnl"] == "10"
    assert found["exits"][0]["distance"] == "1.7"


def test_a_closed_position_tells_how_it_ended() -> None:
    closed = replace(
        OPEN,
        status=PositionStatus.CLOSED,
        exit_qty=Decimal(3),
        exit_value=Decimal(85),
        exit_time_ns=START_NS + 1,
        exit_reason=ExitReason.TAKE_PROFIT,
        reaction_ms=0.25,
    )
    found = position_json(closed)
    assert (found["status"], found["exit_reason"], found["reaction_ms"]) == (
        "closed",
        "take_profit",
        0.25,
    )
    assert (found["qty"], found["qty_open"]) == ("3", "0")
    assert (found["realized_pnl"], found["unrealized_pnl"]) == ("15", "0")


def test_a_position_tells_its_stop_order_at_the_venue_or_why_there_is_none() -> None:
    assert position_json(OPEN)["backstop"] is None
    rests = replace(OPEN, backstop=Decimal("28.50"))
    assert position_json(rests)["backstop"] == {"price": "28.5", "problem": None}
    refused = replace(OPEN, backstop_problem="refused: too near")
    assert position_json(refused)["backstop"] == {"price": None, "problem": "refused: too near"}


def test_a_balance_names_the_market_of_its_wallet() -> None:
    one = Balance("bybit", "USDT", Decimal(3), Decimal(2), Decimal(1))
    assert balance_json(one) == {
        "venue": "bybit", "market": None, "asset": "USDT", "total": "3", "free": "2", "locked": "1"
    }  # fmt: skip
    assert balance_json(replace(one, market=Market.SPOT))["market"] == "spot"


def test_a_bot_that_was_never_switched_has_no_since() -> None:
    found = bot_json(accepting=True, guarding=False, mode="paper", since_ns=0)
    assert found == {
        "accepting_signals": True,
        "guarding": False,
        "mode": "paper",
        "since": None,
    }


def test_a_list_has_items_and_a_cursor() -> None:
    assert list_json([1, 2], lambda n: {"n": n}, "c") == {
        "items": [{"n": 1}, {"n": 2}],
        "next_cursor": "c",
    }
