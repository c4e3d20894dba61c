"""Invariant 6: what storage holds at the end is what the venues executed, to the last digit."""

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal

from engine.model.exits import Side
from engine.model.instrument import InstrumentId, Market
from engine.model.order import Fill, OrderSide, OrderStatus
from engine.model.position import Position, PositionStatus
from engine.simulation.checks.case import CLOSING, ENDED, ZERO, Case, base_fee, parts_of

FILLS, FOREIGN, SUMS, ORDERS, HOLDINGS = (
    "fills_equal", "foreign_fills_exist", "sums_equal", "orders_equal", "holdings_equal"
)  # fmt: skip
QUOTIENT = Decimal(1).scaleb(-18)


def judge_ledger(case: Case) -> None:
    """Judge fills, sums, orders and holdings."""
    _judge_fills(case)
    _judge_foreign(case)
    for position in case.facts.positions:
        _judge_sums(case, position)
    _judge_orders(case)
    _judge_holdings(case)


def _plain(fill: Fill) -> tuple[object, ...]:
    return (
        fill.instrument.id, fill.venue_trade_id, fill.client_order_id, fill.side, fill.qty,
        fill.price, fill.fee, fill.fee_asset,
    )  # fmt: skip


def _judge_fills(case: Case) -> None:
    """Each execution under an id of ours is booked, once, and nothing else is."""
    executed = [
        (ours[0], fill)
        for fill in case.fills
        if (ours := parts_of(fill.client_order_id)) and ours[0] not in case.oversold
    ]
    booked = [
        (position_id, fill)
        for fill, position_id in case.facts.fills
        if fill.client_order_id and position_id not in case.oversold
    ]
    _judge_cut(case)
    case.judged(FILLS, len(executed))
    there = Counter((position_id, _plain(fill)) for position_id, fill in executed)
    here = Counter((position_id or "", _plain(fill)) for position_id, fill in booked)
    if there == here:
        return
    for _, plain in (there - here).elements():
        case.blame(6, FILLS, 0, f"not booked: {_words(plain)}")
    for _, plain in (here - there).elements():
        case.blame(6, FILLS, 0, f"booked and never executed: {_words(plain)}")


def _judge_cut(case: Case) -> None:
    """Of what sold more than a position had, no more is booked to it than was executed."""
    for position_id in sorted(case.oversold):
        executed = {
            (fill.client_order_id, fill.venue_trade_id): fill
            for fill in case.executions[position_id]
        }
        for fill in case.settled(position_id):
            case.judged(FILLS)
            there = executed.get((fill.client_order_id, fill.venue_trade_id))
            if there is None or fill.qty > there.qty or fill.price != there.price:
                text = f"booked and never executed: {_words(_plain(fill))}"
                case.blame(6, FILLS, 0, text)


def _words(plain: tuple[object, ...]) -> str:
    return " ".join(map(str, plain))


def _judge_foreign(case: Case) -> None:
    """What is taken from a position by others was executed by others, and is taken once."""
    executed = {
        (fill.instrument.id, fill.venue_trade_id): fill
        for fill in case.fills
        if is_of_others(case, fill)
    }
    for key, taken in case.taken_from.items():
        case.judged(FOREIGN)
        fill = executed.get(key)
        qty = sum((part.qty for _, part in taken), ZERO)
        if fill is None:
            case.blame(6, FOREIGN, 0, f"{key[1]} on {key[0]} was booked and never executed")
        elif qty > fill.qty or any((p.side, p.price) != (fill.side, fill.price) for _, p in taken):
            text = f"{qty} of {key[1]} on {key[0]} was booked; it is {fill.side} {fill.qty}"
            case.blame(6, FOREIGN, 0, text)


def is_of_others(case: Case, fill: Fill) -> bool:
    """Tell whether an execution may have taken what is not its own position's."""
    ours = parts_of(fill.client_order_id)
    return ours is None or (ours[0] in case.oversold and ours[1] in CLOSING)


def _own_parts(case: Case, fill: Fill) -> list[Fill]:
    """What is booked of an execution to the position under whose id it is."""
    ours = parts_of(fill.client_order_id)
    settled = case.settled(ours[0]) if ours is not None else []
    return [each for each in settled if each.client_order_id == fill.client_order_id]


def _rate(fill: Fill) -> Decimal | None:
    """What one unit of the fee's asset is worth in quote asset."""
    if not fill.fee or fill.fee_asset == fill.instrument.quote:
        return Decimal(1)
    return fill.price if fill.fee_asset == fill.instrument.base else fill.fee_rate


def _sums(fills: list[Fill], foreign: list[Fill]) -> dict[str, Decimal]:
    """Add up executions as CONTRACT.md section 6 has it. The average is of what was received."""
    found = dict.fromkeys(
        ("qty", "base_fees", "entry_value", "exit_qty", "exit_value", "fees"), ZERO
    )
    for fill in (*fills, *foreign):
        ours = parts_of(fill.client_order_id)
        found["fees"] += fill.fee * (_rate(fill) or ZERO)
        if ours is None or ours[1] in CLOSING:
            found["exit_qty"] += fill.qty
            found["exit_value"] += fill.qty * fill.price
        else:
            kept = base_fee(fill)
            found["qty"] += fill.qty
            found["base_fees"] += kept
            found["entry_value"] += (fill.qty - kept) * fill.price
    return found


def _judge_sums(case: Case, position: Position) -> None:
    """A position's sums are those of its executions, and its profit is by the rules of money."""
    fills = case.settled(position.id)
    foreign = case.foreign_of.get(position.id, [])
    if not fills and not foreign:
        return
    case.judged(SUMS)
    sums = _sums(fills, foreign)
    got = sums["qty"] - sums["base_fees"]
    sign = 1 if position.side is Side.LONG else -1
    cost = ZERO
    if got and sums["exit_qty"]:
        cost = (sums["entry_value"] * sums["exit_qty"] / got).quantize(QUOTIENT, ROUND_HALF_EVEN)
    pnl = sign * (sums["exit_value"] - cost) if sums["exit_qty"] and got else ZERO
    told = {
        "qty": position.qty,
        "base_fees": position.base_fees,
        "entry_value": position.entry_value,
        "exit_qty": position.exit_qty,
        "exit_value": position.exit_value,
        "fees": position.fees,
        "realized_pnl": position.realized_pnl,
        "net_pnl": position.net_pnl,
    }
    ought = {**sums, "realized_pnl": pnl, "net_pnl": pnl - sums["fees"] - position.funding}
    for name, value in ought.items():
        if told[name] != value:
            case.blame(6, SUMS, 0, f"{name} of {position.id} is {told[name]}, not {value}")
    unvalued = any(_rate(fill) is None for fill in (*fills, *foreign))
    if unvalued is not position.fees_unvalued:
        case.blame(6, SUMS, 0, f"{position.id}: fees_unvalued is {position.fees_unvalued}")
    if position.status is PositionStatus.CLOSED and position.dust != got - sums["exit_qty"]:
        text = f"dust of {position.id} is {position.dust}, not {got - sums['exit_qty']}"
        case.blame(6, SUMS, 0, text)


def _judge_orders(case: Case) -> None:
    """Orders have what was executed under their id, and end as they ended at the venue.

    Refused and cancelled are one: what the venue did not fill is gone.
    """
    filled: dict[str, Decimal] = {}
    for fill in case.fills:
        if fill.client_order_id is not None:
            filled[fill.client_order_id] = filled.get(fill.client_order_id, ZERO) + fill.qty
    ended = {
        kept.order.client_order_id: kept.status
        for name in sorted(case.venues)
        for kept in case.venues[name].orders
    }
    for order in case.facts.orders:
        key = order.client_order_id
        case.judged(ORDERS)
        if order.filled_qty != filled.get(key, ZERO):
            text = f"{key} has {order.filled_qty} filled, the venue {filled.get(key, ZERO)}"
            case.blame(6, ORDERS, 0, text)
        there = ended.get(key)
        if order.status not in ENDED or (there is not None and there not in ENDED):
            continue
        is_whole = (there or OrderStatus.REJECTED) is OrderStatus.FILLED
        if (order.status is OrderStatus.FILLED) is not is_whole:
            case.blame(6, ORDERS, 0, f"{key} is {order.status} here and {there} at the venue")
    for key in ended:
        if parts_of(key) is not None and key not in case.orders:
            case.blame(6, ORDERS, 0, f"the venue has {key}, and storage does not")


def _judge_holdings(case: Case) -> None:
    """Ours and what is not ours add up to what a linear instrument holds.

    On spot the account held assets from the beginning; there fills and sums say it all.
    """
    ours: dict[InstrumentId, Decimal] = {}
    for position in case.facts.positions:
        held = position.qty - position.base_fees - position.exit_qty
        signed = held if position.side is Side.LONG else -held
        ours[position.instrument.id] = ours.get(position.instrument.id, ZERO) + signed
    for fill in case.fills:
        if is_of_others(case, fill):
            key = (fill.instrument.id, fill.venue_trade_id)
            parts = [part for _, part in case.taken_from.get(key, ())]
            parts += [own for own in _own_parts(case, fill) if own.venue_trade_id == key[1]]
            rest = fill.qty - sum((part.qty for part in parts), ZERO)
            signed = rest if fill.side is OrderSide.BUY else -rest
            ours[key[0]] = ours.get(key[0], ZERO) + signed
    for name in sorted(case.venues):
        for instrument, held in case.venues[name].held.items():
            if instrument.market is Market.LINEAR:
                case.judged(HOLDINGS)
                if ours.get(instrument, ZERO) != held:
                    text = f"{instrument} holds {held}, we count {ours.get(instrument, ZERO)}"
                    case.blame(6, HOLDINGS, 0, text)
