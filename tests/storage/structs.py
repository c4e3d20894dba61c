"""Hypothesis strategies over the engine's structs, and plain examples of them."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent, Points, Side
from engine.model.ids import Purpose, client_order_id, encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, FillKind, Order, OrderSide, OrderStatus
from engine.model.position import GuardStatus, Position, PositionStatus, Progress
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Rung
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.signal import Action, Outcome, Signal, SignalRecord, Size, SizeKind
from engine.model.ticks import PriceSource

SECOND_NS = 1_000_000_000
NOON_NS = 1_700_000_000 * SECOND_NS

BTC = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
    max_market_qty=Decimal(100),
)
ETH = Instrument(
    id=InstrumentId("binance", Market.SPOT, "ETHEUR"),
    base="ETH",
    quote="EUR",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.0001"),
    min_qty=Decimal("0.0001"),
    min_notional=Decimal(10),
)


def position_id(number: int) -> str:
    return encode_id(number.to_bytes(16, "big"))


def signal(number: int = 1, **changes: Any) -> Signal:
    values: dict[str, Any] = {
        "id": f"s{number}",
        "received_at_ns": NOON_NS + number * SECOND_NS,
        "source": "webhook",
        "action": Action.BUY,
        "instrument": BTC,
        "raw": f'{{"action":"buy","symbol":"BTCUSDT","n":{number}}}',
    }
    return Signal(**values | changes)


def position(number: int = 1, **changes: Any) -> Position:
    """An open position that no signal asked for."""
    values: dict[str, Any] = {
        "id": position_id(number),
        "instrument": BTC,
        "side": Side.LONG,
        "exits": Exits(Percent(Decimal(15)), AtPrice(Decimal(51_000))),
        "trigger": PriceSource.LAST,
        "created_at_ns": NOON_NS + number * SECOND_NS,
        "status": PositionStatus.OPEN,
        "guard": GuardStatus.ARMED,
        "qty": Decimal("0.5"),
        "entry_value": Decimal(30_000),
        "take_profit": Decimal(69_000),
        "stop_loss": Decimal(51_000),
        "entry_time_ns": NOON_NS + number * SECOND_NS,
    }
    return Position(**values | changes)


def order(number: int = 1, generation: int = 0, **changes: Any) -> Order:
    """The entry order of ``position(number)``."""
    values: dict[str, Any] = {
        "client_order_id": client_order_id(position_id(number), Purpose.ENTRY, generation),
        "position_id": position_id(number),
        "instrument": BTC,
        "side": OrderSide.BUY,
        "purpose": Purpose.ENTRY,
        "generation": generation,
        "qty": Decimal("0.5"),
        "reduce_only": False,
        "created_at_ns": NOON_NS + number * SECOND_NS,
        "actor": "webhook",
    }
    return Order(**values | changes)


def fill(number: int = 1, trade: int = 1, **changes: Any) -> Fill:
    """A fill of ``order(number)``."""
    values: dict[str, Any] = {
        "venue_trade_id": f"t{trade}",
        "instrument": BTC,
        "side": OrderSide.BUY,
        "qty": Decimal("0.25"),
        "price": Decimal("60000.1"),
        "fee": Decimal("8.25"),
        "fee_asset": "USDT",
        "time_ns": NOON_NS + trade * 1_000_000,
        "client_order_id": client_order_id(position_id(number), Purpose.ENTRY, 0),
    }
    return Fill(**values | changes)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
amounts = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=10)
positives = st.decimals(Decimal("1e-8"), 10**12, places=8)
times = st.integers(0, 4_000_000_000 * SECOND_NS)
ids = st.binary(min_size=16, max_size=16).map(encode_id)
counts = st.integers(0, 10_000)
percents = st.builds(Percent, positives)
prices = st.builds(AtPrice, positives)
distances = percents | st.builds(Points, positives)
off = st.just(Disarmed())
limits = percents | prices | off
ladders = st.lists(st.builds(Rung, percents | prices, positives), max_size=10).map(tuple)
exits = st.builds(
    Exits,
    take_profit=limits,
    stop_loss=limits,
    trailing=st.none() | st.builds(Trailing, distances, limits, st.none() | distances),
    break_even=st.none() | st.builds(BreakEven, limits, st.none() | positives, counts),
    ladder=ladders,
    time=st.builds(TimeStop, st.none() | times, st.none() | times),
    confirmation=st.builds(Confirmation, counts, counts),
)
exit_changes = st.builds(
    ExitChanges,
    take_profit=st.none() | limits,
    stop_loss=st.none() | limits,
    trailing=st.none() | distances | off,
    trailing_activation=st.none() | limits,
    trailing_step=st.none() | distances | off,
    break_even=st.none() | limits,
    break_even_offset=st.none() | positives | off,
    break_even_after_rung=st.none() | counts,
    ladder=st.none() | ladders,
    max_hold_ns=st.none() | times,
    close_at_ns=st.none() | times,
    confirm_ms=st.none() | counts,
    confirm_ticks=st.none() | counts,
    trigger=st.none() | st.sampled_from(PriceSource),
)
progresses = st.builds(
    Progress,
    peak=st.none() | positives,
    at_break_even=st.booleans(),
    rungs_done=counts,
    rung_qty=positives,
    rung_filled=positives,
    adds=counts,
)
instruments = st.builds(
    Instrument,
    id=st.builds(InstrumentId, words, st.sampled_from(Market), words),
    base=words,
    quote=words,
    tick_size=positives,
    qty_step=positives,
    min_qty=positives,
    min_notional=positives,
    max_market_qty=st.none() | positives,
    trading=st.booleans(),
)
positions = st.builds(
    Position,
    id=ids,
    instrument=instruments,
    side=st.sampled_from(Side),
    exits=exits,
    trigger=st.sampled_from(PriceSource),
    created_at_ns=times,
    signal_id=st.none(),
    strategy=st.none() | texts,
    status=st.sampled_from(PositionStatus),
    guard=st.sampled_from(GuardStatus),
    qty=st.just(Decimal(0)) | positives,
    entry_value=amounts,
    base_fees=amounts,
    exit_qty=st.just(Decimal(0)),
    exit_value=amounts,
    dust=amounts,
    fees=amounts,
    fees_unvalued=st.booleans(),
    funding=amounts,
    take_profit=st.none() | positives,
    stop_loss=st.none() | positives,
    progress=progresses,
    exit_generation=st.integers(-1, 99_999),
    closing_signal_id=st.none(),
    entry_time_ns=st.none() | times,
    exit_time_ns=st.none() | times,
    exit_reason=st.none() | st.sampled_from(ExitReason),
    reaction_ms=st.none() | st.floats(0, 1e6),
    current_price=st.none() | positives,
    backstop=st.none() | positives,
    backstop_problem=st.none() | texts,
    backstop_generation=st.integers(-1, 99_999),
)
orders = st.builds(
    Order,
    client_order_id=words,
    position_id=ids,
    instrument=instruments,
    side=st.sampled_from(OrderSide),
    purpose=st.sampled_from(Purpose),
    generation=st.integers(0, 99_999),
    qty=positives,
    reduce_only=st.booleans(),
    created_at_ns=times,
    actor=texts,
    status=st.sampled_from(OrderStatus),
    filled_qty=positives,
    venue_order_id=st.none() | texts,
    reason=st.none() | st.sampled_from(ExitReason),
    trigger_price=st.none() | positives,
    signal_id=st.none(),
    message=st.none() | texts,
)
fills = st.builds(
    Fill,
    venue_trade_id=words,
    instrument=instruments,
    side=st.sampled_from(OrderSide),
    qty=positives,
    price=positives,
    fee=amounts,
    fee_asset=words,
    time_ns=times,
    client_order_id=st.none() | words,
    venue_order_id=st.none() | texts,
    fee_rate=st.none() | positives,
    kind=st.sampled_from(FillKind),
)
signal_records = st.builds(
    SignalRecord,
    signal=st.builds(
        Signal,
        id=ids,
        received_at_ns=times,
        source=words,
        action=st.sampled_from(Action),
        instrument=instruments,
        external_id=st.none() | texts,
        sent_at_ns=st.none() | times,
        size=st.none() | st.builds(Size, st.sampled_from(SizeKind), positives),
        reference_price=st.none() | positives,
        exits=exit_changes,
        strategy=st.none() | texts,
        comment=st.none() | texts,
        raw=texts,
    ),
    outcome=st.sampled_from(Outcome),
    reason=st.none() | texts,
    position_id=st.none() | ids,
)
