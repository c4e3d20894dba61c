import asyncio

import pytest

from engine.model.events import BalancesReported, OrderFilled, OrderUpdated
from engine.model.exits import Side
from engine.model.instrument import Market
from engine.model.order import OrderStatus
from engine.simulator.terms import Terms, Trigger
from tests.engine.simulator.desk_rig import BUY, SELL, Counter, D, refused, until

LONG_ONLY = Terms(leg=Side.LONG)
FALLS = Trigger(D(9900), rises=False, by_mark=True)


# Requests


async def test_an_order_is_taken_at_once_and_matched_at_the_book_after_the_latency() -> None:
    counter = Counter()
    counter.price(10_000)
    taken = counter.desk.submit(counter.order("a", BUY, "0.1"))
    assert (taken.status, taken.fills) == (OrderStatus.ACKNOWLEDGED, ())
    done = await counter.desk.settled(taken.venue_order_id)
    assert done.status is OrderStatus.FILLED
    assert done.average_price == D("10000.1")
    assert done.filled_value == D("1000.01")
    assert done.fees == {"USDT": D("1000.01") * D("0.00055")}
    assert done.created_ns <= done.updated_ns


async def test_nothing_is_told_before_the_caller_can_write_its_answer() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.submit(counter.order("a", BUY, "0.1"))
    assert counter.told == []
    await until(lambda: len(counter.told) == 4)
    kinds = [type(report) for report in counter.told]
    assert kinds == [OrderUpdated, OrderFilled, BalancesReported, OrderUpdated]


async def test_the_price_that_counts_is_the_one_after_the_latency() -> None:
    counter = Counter(latency_ns=30_000_000)
    counter.price(10_000)
    taken = counter.desk.submit(counter.order("a", BUY, "0.1"))
    counter.price(10_500)
    done = await counter.desk.settled(taken.venue_order_id)
    assert done.average_price == D("10500.1")


async def test_a_repeated_client_order_id_is_refused_and_the_first_order_stands() -> None:
    counter = Counter()
    counter.price(10_000)
    first = await counter.buys("a", "0.1")
    refused(counter, "duplicate_id", "a", BUY, "0.2")
    assert counter.desk.find("a") == first


async def test_an_id_can_be_used_again_at_binance_once_its_order_is_final() -> None:
    counter = Counter("binance", (Market.LINEAR,))
    counter.price(10_000)
    first = await counter.buys("a", "0.1")
    refused(counter, "reduce_only", "a", BUY, "0.1", reduce_only=True)
    assert counter.desk.find("a") == first
    assert counter.desk.model.orders["a"] == first.record
    second = await counter.buys("a", "0.2")
    assert counter.desk.find("a") == second
    assert counter.desk.orders() == [first, second]


@pytest.mark.parametrize(
    ("cause", "qty", "changes"),
    [
        ("lot_size", "0.0001", {}),
        ("max_market_qty", "1000", {}),
        ("min_notional", "0.001", {}),
        ("reduce_only", "0.1", {"reduce_only": True}),
        ("insufficient_balance", "150", {}),
    ],
)
async def test_what_the_venue_can_see_is_refused_at_once_and_leaves_no_record(
    cause: str, qty: str, changes: dict[str, bool]
) -> None:
    counter = Counter()
    counter.price(4000 if cause == "min_notional" else 10_000)
    refused(counter, cause, "a", BUY, qty, **changes)
    assert counter.desk.find("a") is None
    counter.price(10_000)
    assert (await counter.buys("a", "0.1")).status is OrderStatus.FILLED


async def test_an_order_without_any_price_is_taken_and_rejected_later() -> None:
    counter = Counter()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(counter.desk.run())
        taken = counter.desk.submit(counter.order("a", BUY, "0.1"))
        waiting = await counter.desk.settled(taken.venue_order_id, timeout_s=0.12)
        assert waiting.status is OrderStatus.ACKNOWLEDGED
        running.cancel()


async def test_time_matches_an_order_at_the_last_trade_where_no_quote_comes() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.place.state(counter.perp.id).quote = None
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(counter.desk.run())
        done = await counter.buys("a", "0.1")
        running.cancel()
    assert done.average_price == D(10_001)


async def test_an_order_waits_for_quotes_with_what_one_does_not_show() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.set_partial(True)
    taken = counter.desk.submit(counter.order("a", BUY, "2.5"))
    part = await _changed(counter, taken.venue_order_id, OrderStatus.PARTIALLY_FILLED)
    assert part.filled_qty == D(1)
    counter.price(10_000)
    counter.price(10_100)
    done = await counter.desk.settled(taken.venue_order_id)
    assert [fill.qty for fill in done.fills] == [D(1), D(1), D("0.5")]
    counter.desk.set_partial(False)
    assert len((await counter.buys("b", "2.5")).fills) == 3
    assert not counter.desk.model.has_pending


async def test_the_rest_of_a_partly_filled_order_can_be_cancelled() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.set_partial(True)
    taken = counter.desk.submit(counter.order("a", BUY, "2.5"))
    await _changed(counter, taken.venue_order_id, OrderStatus.PARTIALLY_FILLED)
    answer = counter.desk.cancel(taken.venue_order_id)
    assert answer is not None
    assert (answer.done, answer.order.status) == (True, OrderStatus.CANCELLED)
    assert (answer.order.cause, answer.order.filled_qty) == ("cancelled", D(1))


async def test_a_cancellation_of_an_order_that_ended_says_how_it_ended() -> None:
    counter = Counter()
    counter.price(10_000)
    done = await counter.buys("a", "0.1")
    answer = counter.desk.cancel(done.venue_order_id)
    assert answer is not None
    assert (answer.done, answer.order) == (False, done)
    assert counter.desk.cancel("1") is None


async def test_a_cancellation_of_an_old_order_leaves_the_new_one_under_its_id_alone() -> None:
    counter = Counter("binance", (Market.SPOT,))
    counter.price(10_000, counter.spot)
    old = await counter.buys("a", "0.1", instrument=counter.spot)
    new = counter.desk.submit(counter.order("a", BUY, "0.1", counter.spot))
    answer = counter.desk.cancel(old.venue_order_id)
    assert answer is not None
    assert (answer.done, answer.order.status) == (False, OrderStatus.FILLED)
    assert (await counter.desk.settled(new.venue_order_id)).status is OrderStatus.FILLED


async def _changed(counter: Counter, venue_order_id: str, status: OrderStatus) -> object:
    def known() -> object:
        return counter.desk.order(venue_order_id)

    await until(lambda: known().status is status)  # type: ignore[attr-defined]
    return known()


# Conditional orders


async def test_a_conditional_order_rests_triggers_by_the_mark_and_trades() -> None:
    counter = Counter()
    counter.price(10_000)
    await counter.buys("a", "0.1")
    stop = counter.order("b", SELL, "0.1", reduce_only=True)
    resting = await counter.done(stop, Terms(trigger=FALLS))
    assert resting.is_resting
    assert counter.desk.open_orders() == [resting]
    counter.price(9899)
    triggered = counter.desk.order(resting.venue_order_id)
    assert triggered is not None
    assert triggered.triggered_ns is not None
    assert not triggered.is_resting
    done = await counter.desk.settled(resting.venue_order_id)
    assert (done.status, done.average_price) == (OrderStatus.FILLED, D(9899))
    assert done.child_id is None
    assert counter.desk.positions() == []


async def test_a_triggered_order_at_binance_trades_under_the_id_of_its_child() -> None:
    counter = Counter("binance", (Market.LINEAR,))
    counter.price(10_000)
    await counter.buys("a", "0.1")
    stop = counter.order("b", SELL, "0.1", reduce_only=True)
    resting = await counter.done(stop, Terms(trigger=FALLS))
    assert resting.child_id is None
    counter.price(9900)
    done = await counter.desk.settled(resting.venue_order_id)
    assert done.child_id not in (None, resting.venue_order_id)
    assert [fill.venue_order_id for fill in done.fills] == [done.child_id]
    assert counter.desk.order(done.child_id or "") == done
    assert counter.desk.find("b") == done
    assert len(counter.desk.orders()) == 2


async def test_a_cancellation_does_not_end_an_order_that_has_triggered() -> None:
    counter = Counter()
    counter.price(10_000)
    await counter.buys("a", "0.1")
    stop = counter.order("b", SELL, "0.1", reduce_only=True)
    resting = await counter.done(stop, Terms(trigger=FALLS))
    counter.price(9900)
    answer = counter.desk.cancel(resting.venue_order_id)
    assert answer is not None
    assert (answer.done, answer.order.status) == (False, OrderStatus.ACKNOWLEDGED)
    assert answer.order.triggered_ns is not None
    assert (await counter.desk.settled(resting.venue_order_id)).status is OrderStatus.FILLED


async def test_a_triggered_order_whose_position_is_gone_ends_cancelled() -> None:
    counter = Counter()
    counter.price(10_000)
    await counter.buys("a", "0.1")
    stop = counter.order("b", SELL, "0.1", reduce_only=True)
    resting = await counter.done(stop, Terms(trigger=FALLS))
    await counter.done(counter.order("c", SELL, "0.1", reduce_only=True))
    counter.price(9900)
    done = await counter.desk.settled(resting.venue_order_id)
    assert (done.status, done.cause) == (OrderStatus.CANCELLED, "reduce_only")


async def test_a_stop_below_the_least_value_is_refused_on_spot() -> None:
    counter = Counter()
    counter.price(10_000, counter.spot)
    await counter.buys("a", "0.01", instrument=counter.spot)
    below = Terms(trigger=Trigger(D(10), rises=False, by_mark=False))
    refused(counter, "min_notional", "b", SELL, "0.009", counter.spot, terms=below)
