"""Whether an entry may be made, and how large: pure checks, each with the reason it gives.

A reason is written ``code: words``; the code is stable, the words tell the owner what to change.
Percents are of price, not of margin (DESIGN.md 2.5).
"""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine.core.others import keeps_legs, others_on
from engine.core.position_mode import mode_refusal
from engine.core.state import GuardConfig, State
from engine.model.exit_checks import Situation, exit_problems, orphans
from engine.model.exit_set import ExitChanges, Exits, amended
from engine.model.exits import AtPrice, Disarmed, ExitReason, Side, threshold
from engine.model.instrument import Instrument, Market
from engine.model.money import ONE, ZERO, percent_of, plain
from engine.model.position import Position
from engine.model.rules.ladder import closes_all
from engine.model.signal import Action, Signal, Size, SizeKind
from engine.model.ticks import PriceSource

MIN_NOTIONAL_MARGIN = Decimal("1.1")
"""An entry must be worth this many minimum notionals at its stop, so as to be closable there."""

LIQUIDATION_MARGIN = Decimal("0.005")
"""The stop must lie before the liquidation price by at least this fraction of price."""


class Refused(Exception):
    """An entry was refused; the message is the signal's recorded reason."""


class Entry(Struct, frozen=True):
    """An admitted entry: how much, the limits it will carry, and the quote amount it may take."""

    qty: Decimal
    exits: Exits
    funds: Decimal


def exits_of(asked: ExitChanges, config: GuardConfig) -> Exits:
    """Return the rules that a new position carries: what is asked for, else the defaults.

    A ladder that closes all replaces the default take-profit, a take-profit the default ladder.
    """
    defaults = config.exits
    if asked.ladder and closes_all(asked.ladder):
        defaults = replace(defaults, take_profit=Disarmed())
    if asked.take_profit is not None and asked.ladder is None:
        defaults = amended(defaults, ExitChanges(ladder=()))
    return amended(defaults, asked)


def trigger_of(signal: Signal, config: GuardConfig) -> PriceSource:
    """Return the price that an entry's limits are compared with."""
    return signal.exits.trigger or config.trigger


def check_before_price(state: State, signal: Signal) -> None:
    """Raise Refused when an entry cannot be made whatever the price is."""
    config, instrument = state.config, signal.instrument
    if not state.accepting:
        raise Refused("bot_stopped: entries are stopped; start the bot to accept them")
    check_age(config, signal.effective_sent_ns, state.at_ns)
    closed_at = state.last_close_ns.get(instrument.id)
    if closed_at is not None and signal.sent_at_ns is not None and signal.sent_at_ns < closed_at:
        raise Refused("superseded: a later close was already received for this instrument")
    if not instrument.trading:
        raise Refused(f"not_trading: {instrument.id} takes no orders now")
    if instrument.id.market is Market.SPOT and trigger_of(signal, config) is PriceSource.MARK:
        raise Refused("no_mark_on_spot: spot has no mark price; set TRIGGER_PRICE to last or book")
    check_holdings(state, instrument, side_of(signal))


def check_holdings(state: State, instrument: Instrument, side: Side) -> None:
    """Raise Refused when what the venue holds bars an entry of ``side``.

    The account is read again then: what it held may be gone by the next signal.
    """
    refusal = holdings_refusal(state, instrument, side)
    if refusal is not None:
        state.accounts.wanted.add(instrument.id.venue)
        raise Refused(refusal)


def holdings_refusal(state: State, instrument: Instrument, side: Side) -> str | None:
    """Why the venue, or what it holds, bars an entry of ``side``; None when it does not.

    It takes nothing of ours, or keeps positions in another way than at the start, or what it holds
    contradicts our books, or a venue that nets would close by the entry what is not ours.
    """
    stopped = state.stopped.get(instrument.id.venue)
    if stopped is not None:
        return f"venue_stopped: {instrument.id.venue} takes no orders of ours; {stopped}"
    switched = mode_refusal(state, instrument)
    if switched is not None:
        return switched
    held = state.unexplained.get(instrument.id)
    if held is not None:
        return (
            f"unexplained: the venue holds {plain(held)} {instrument.base} where our books say"
            " more; entries wait until that is explained"
        )
    against = others_on(state, instrument.id, side.opposite)
    if against and not keeps_legs(state, instrument.id):
        return (
            f"foreign_position: {instrument.id} has {plain(against)} {instrument.base} on the"
            " other side that is not ours; close it, or have the venue keep both sides apart"
        )
    return None


def check_room(state: State) -> None:
    """Raise Refused when as many positions are open as may be."""
    active = len(state.positions)
    if active >= state.config.max_open_positions:
        raise Refused(f"max_open_positions: {active} open, MAX_OPEN_POSITIONS allows no more")


def check_age(config: GuardConfig, sent_ns: int, now_ns: int) -> None:
    """Raise Refused when an entry was sent too long ago to be made."""
    age_ns = now_ns - sent_ns
    if age_ns > config.signal_max_age_ns:
        age, limit = age_ns // 10**9, config.signal_max_age_ns // 10**9
        raise Refused(f"too_old: {age} s since it was sent, SIGNAL_MAX_AGE_SECONDS is {limit}")


def admit(state: State, signal: Signal, price: Decimal) -> Entry:
    """Size an entry at ``price`` (the touch it would meet) and check it against every limit.

    Raises:
        Refused: with the reason.
    """
    config, instrument = state.config, signal.instrument
    side = side_of(signal)
    exits = exits_of(signal.exits, config)
    _check_deviation(config, signal, price)
    _check_sides(exits, side, price)
    _check_set(state, signal, exits, price)
    stop = threshold(exits.stop_loss, side, ExitReason.STOP_LOSS, price, instrument)
    qty = instrument.floor_qty(_wanted_qty(state, signal, price, stop))
    _check_quantity(config, instrument, qty)
    _check_notional(config, instrument, qty, price, price if stop is None else stop)
    _check_liquidation(config, instrument, side, price, stop)
    return Entry(qty, exits, _check_funds(state, instrument, qty, price))


def admit_add(state: State, signal: Signal, position: Position, price: Decimal) -> Entry:
    """Size an add to an open position at ``price`` and check what it leads to.

    The position keeps its own rules. Risk and value are judged at its present stop, liquidation at
    the average that the add leads to.

    Raises:
        Refused: with the reason.
    """
    config, instrument, stop = state.config, signal.instrument, position.stop_loss
    _check_deviation(config, signal, price)
    qty = instrument.floor_qty(_wanted_qty(state, signal, price, stop))
    _check_quantity(config, instrument, qty)
    _check_notional(config, instrument, qty, price, price if stop is None else stop)
    value, held = position.entry_value + qty * price, position.received + qty
    average = value / held
    if not position.progress.at_break_even:
        limit = position.exits.stop_loss
        stop = threshold(limit, position.side, ExitReason.STOP_LOSS, average, instrument)
    _check_liquidation(config, instrument, position.side, average, stop)
    return Entry(qty, position.exits, _check_funds(state, instrument, qty, price))


def side_of(signal: Signal) -> Side:
    """Return the side an entry signal opens."""
    return Side.LONG if signal.action is Action.BUY else Side.SHORT


def _check_deviation(config: GuardConfig, signal: Signal, price: Decimal) -> None:
    seen = signal.reference_price
    if seen is None:
        return
    worse = (price - seen) * side_of(signal).sign
    if worse > percent_of(seen, config.max_entry_deviation_percent):
        limit = plain(config.max_entry_deviation_percent)
        raise Refused(
            f"price_moved: {plain(price)} is worse than the signal's {plain(seen)} by more than"
            f" MAX_ENTRY_DEVIATION_PERCENT ({limit} %)"
        )


def _check_sides(exits: Exits, side: Side, price: Decimal) -> None:
    for name, limit, sign in (
        ("take_profit", exits.take_profit, side.sign),
        ("stop_loss", exits.stop_loss, -side.sign),
    ):
        if isinstance(limit, AtPrice) and (limit.value - price) * sign <= 0:
            word = "above" if sign > 0 else "below"
            raise Refused(
                f"{name}_on_wrong_side: {plain(limit.value)} of a {side} must lie {word} the price,"
                f" now {plain(price)}"
            )


def _check_set(state: State, signal: Signal, exits: Exits, price: Decimal) -> None:
    now = Situation(
        side=side_of(signal),
        instrument=signal.instrument.id,
        trigger=trigger_of(signal, state.config),
        at_ns=state.at_ns,
        entry_price=price,
        price=price,
        fee_rate=state.config.fee_rate(signal.instrument),
    )
    problems = [*orphans(exits, signal.exits), *exit_problems(exits, now)]
    if problems:
        raise Refused("exits_contradict: " + "; ".join(str(problem) for problem in problems))


def _wanted_qty(state: State, signal: Signal, price: Decimal, stop: Decimal | None) -> Decimal:
    size = signal.size or Size(SizeKind.QUOTE_QTY, state.config.position_size)
    instrument = signal.instrument
    if size.kind is SizeKind.QTY:
        return size.value
    if size.kind is SizeKind.QUOTE_QTY:
        return size.value / price
    if size.kind is SizeKind.PERCENT:
        free = state.free(instrument.id, instrument.quote)
        affordable = free / _funds_per_notional(state.config, instrument)
        return min(percent_of(free, size.value), affordable) / price
    if stop is None:
        raise Refused("no_stop: risk_percent needs a stop-loss to measure the risk by")
    rate = state.config.fee_rate(instrument)
    loss_per_unit = abs(price - stop) + rate * (price + stop)
    return percent_of(_equity(state, instrument), size.value) / loss_per_unit


def _equity(state: State, instrument: Instrument) -> Decimal:
    """Quote balance plus the value of what is open against that quote asset on the venue."""
    balance = state.balance(instrument.id, instrument.quote)
    equity = balance.total if balance else ZERO
    for position in state.positions.values():
        same_account = position.instrument.id.venue == instrument.id.venue
        if not (same_account and position.instrument.quote == instrument.quote and position.qty):
            continue
        price = state.markets[position.instrument.id].current(position.trigger)
        price = position.entry_price or ZERO if price is None else price
        if position.instrument.id.market is Market.SPOT:
            equity += position.qty_open * price
        else:
            equity += position.unrealized_pnl(price)
    return equity


def _check_quantity(config: GuardConfig, instrument: Instrument, qty: Decimal) -> None:
    if qty < instrument.min_qty or qty <= ZERO:
        raise Refused(
            f"below_min_qty: {plain(qty)} {instrument.base} after rounding to the step,"
            f" {instrument.id} takes at least {plain(instrument.min_qty)}"
        )
    if instrument.max_market_qty is not None and qty > instrument.max_market_qty:
        raise Refused(
            f"above_max_qty: {plain(qty)} {instrument.base}, {instrument.id} takes at most"
            f" {plain(instrument.max_market_qty)} in a market order"
        )
    held = _held_after_fee(config, instrument, qty)
    if held < instrument.min_qty:
        raise Refused(
            f"below_min_qty: {plain(held)} {instrument.base} would be held after the fee,"
            f" {instrument.id} takes at least {plain(instrument.min_qty)} to close it"
        )


def _check_notional(
    config: GuardConfig, instrument: Instrument, qty: Decimal, price: Decimal, stop: Decimal
) -> None:
    if qty * price < instrument.min_notional:
        raise Refused(
            f"below_min_notional: worth {plain(qty * price)} {instrument.quote},"
            f" {instrument.id} takes at least {plain(instrument.min_notional)}"
        )
    value_at_stop = _held_after_fee(config, instrument, qty) * stop
    needed = MIN_NOTIONAL_MARGIN * instrument.min_notional
    if value_at_stop < needed:
        raise Refused(
            f"below_min_notional: worth {plain(value_at_stop)} {instrument.quote} at its stop, at"
            f" least {plain(needed)} is needed so that it can be closed there"
        )


def _held_after_fee(config: GuardConfig, instrument: Instrument, qty: Decimal) -> Decimal:
    """What a bought quantity comes to in whole steps; on spot the fee is taken from it."""
    if instrument.id.market is Market.LINEAR:
        return qty
    return instrument.floor_qty(qty * (ONE - config.fee_rate(instrument)))


def _check_liquidation(
    config: GuardConfig, instrument: Instrument, side: Side, price: Decimal, stop: Decimal | None
) -> None:
    if config.cross_margin or instrument.id.market is not Market.LINEAR or stop is None:
        return
    liquidation = liquidation_price(config, side, price)
    if (stop - liquidation) * side.sign < LIQUIDATION_MARGIN * price:
        raise Refused(
            f"stop_beyond_liquidation: the stop {plain(stop)} must lie before the liquidation"
            f" price, about {plain(instrument.floor_price(liquidation))} at LEVERAGE"
            f" {plain(config.leverage)}"
        )


def liquidation_price(config: GuardConfig, side: Side, entry_price: Decimal) -> Decimal:
    """Isolated-margin estimate: entry x (1 -/+ (1 / leverage - maintenance margin))."""
    room = ONE / config.leverage - config.maintenance_margin
    return entry_price * (ONE - side.sign * room)


def _funds_per_notional(config: GuardConfig, instrument: Instrument) -> Decimal:
    """Free quote balance that an entry takes per unit of notional: margin and fee on linear."""
    if instrument.id.market is Market.SPOT:
        return ONE
    return ONE / config.leverage + config.fee_rate(instrument)


def _check_funds(state: State, instrument: Instrument, qty: Decimal, price: Decimal) -> Decimal:
    needed = qty * price * _funds_per_notional(state.config, instrument)
    free = state.free(instrument.id, instrument.quote)
    if needed > free:
        raise Refused(
            f"insufficient_balance: needs {plain(instrument.ceil_price(needed))}"
            f" {instrument.quote}, {plain(free)} is free on {instrument.id.venue}"
        )
    return needed
