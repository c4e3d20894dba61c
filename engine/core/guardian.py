"""The guardian: one event in, what is to be done out. No I/O, no clock, no randomness, no logs.

``handle`` is the only way in. A tick that nothing waits for costs a dictionary look-up and two
float comparisons. Everything else is a step: handlers change ``State`` and collect effects.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.core.adopting import (
    Obstacle,
    adoption_obstacles,
    end_glances,
    on_adoption_wanted,
    on_position_adopted,
)
from engine.core.amending import amendment_problems, on_exits_amended
from engine.core.arming import save_peaks
from engine.core.asking import ask_overdue
from engine.core.backstop import look_again, note_liquidations, tend_backstops
from engine.core.backstop_orders import let_go
from engine.core.belief import PriceName
from engine.core.closing import on_close_requested, retry_exits
from engine.core.deferral import on_instrument_refreshed, on_order_deferred, resend_deferred
from engine.core.entries import entry_refusal, on_signal
from engine.core.fencing import on_lease_changed
from engine.core.fills import book_surplus, on_funding, on_order_filled
from engine.core.gaps import ask_missed, ask_while_blind, note_lost, on_prices_missed
from engine.core.hits import close_expired
from engine.core.ladder import retry_rungs
from engine.core.lookups import on_order_looked_up
from engine.core.market_view import Arrival, MarketView
from engine.core.orders import on_order_sent, on_order_updated
from engine.core.prices import on_arrivals, on_continued, on_prices_checked, on_time
from engine.core.reconcile import (
    on_account_reported,
    on_account_resumed,
    on_balances_reported,
    read_due,
)
from engine.core.recovery import ask_again, on_started
from engine.core.stall import tell_stall
from engine.core.state import GuardConfig, State
from engine.core.stopped import on_trading_resumed, on_trading_stopped
from engine.core.waiting import drop_waiting, expire_waiting
from engine.model.effects import NOTHING, Effects, SaveBot
from engine.model.events import (
    AccountReported,
    AccountResumed,
    AdoptionWanted,
    BalancesReported,
    BotSwitched,
    ClockAdvanced,
    CloseRequested,
    Continued,
    Event,
    ExitsAmended,
    FeedLost,
    FeedResumed,
    FundingPaid,
    InstrumentRefreshed,
    LeaseChanged,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    PositionAdopted,
    PricesChecked,
    PricesMissed,
    SignalReceived,
    Started,
    TradingResumed,
    TradingStopped,
)
from engine.model.exit_checks import ExitProblem
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId
from engine.model.order import Order
from engine.model.position import GuardStatus, Position
from engine.model.ticks import MarkTick, QuoteTick, TradeTick

SAVE_PEAKS_NS = 1_000_000_000
SAVED_PEAKS = 200


class Guardian:
    """Guards positions. Not thread-safe: the flow is its only caller."""

    def __init__(self, config: GuardConfig) -> None:
        self._state = State(config)
        self._markets = self._state.markets
        self._on_tick: dict[type, Callable[[Any], Effects]] = {
            TradeTick: self._on_trade,
            QuoteTick: self._on_quote,
            MarkTick: self._on_mark,
        }
        self._steps: dict[type, Callable[[State, Any], None]] = {
            Started: on_started,
            SignalReceived: on_signal,
            CloseRequested: on_close_requested,
            BotSwitched: _on_bot_switched,
            OrderSent: on_order_sent,
            OrderUpdated: on_order_updated,
            OrderDeferred: on_order_deferred,
            OrderLookedUp: on_order_looked_up,
            OrderFilled: on_order_filled,
            FundingPaid: on_funding,
            BalancesReported: on_balances_reported,
            AccountReported: _on_account_reported,
            AccountResumed: on_account_resumed,
            TradingStopped: on_trading_stopped,
            TradingResumed: on_trading_resumed,
            InstrumentRefreshed: on_instrument_refreshed,
            FeedLost: _on_feed_lost,
            FeedResumed: _on_feed_resumed,
            ExitsAmended: on_exits_amended,
            AdoptionWanted: on_adoption_wanted,
            PositionAdopted: on_position_adopted,
            PricesChecked: on_prices_checked,
            PricesMissed: on_prices_missed,
            LeaseChanged: on_lease_changed,
            Continued: on_continued,
            ClockAdvanced: _on_clock,
        }

    # Views

    @property
    def accepting(self) -> bool:
        return self._state.accepting

    @property
    def since_ns(self) -> int:
        """When the acceptance of entries last changed; UTC ns since the epoch, 0 never."""
        return self._state.since_ns

    def position(self, position_id: str) -> Position | None:
        """Return an active position with its current price, else None."""
        position = self._state.positions.get(position_id)
        return None if position is None else self._priced(position)

    def positions(self) -> Sequence[Position]:
        """Return the active positions with their current prices."""
        return [self._priced(position) for position in self._state.positions.values()]

    def orders_in_flight(self) -> Sequence[Order]:
        """Return orders that are not final."""
        return list(self._state.orders.values())

    def backstops(self) -> Sequence[Order]:
        """Return the backstops that are not final."""
        return list(self._state.backstops.live.values())

    def price(self, instrument: InstrumentId) -> Decimal | None:
        """Return the latest trade price (else the mid) of a watched instrument, else None."""
        view = self._state.markets.get(instrument)
        return None if view is None else view.current(self._state.config.trigger)

    def instruments(self, venue: str) -> Sequence[Instrument]:
        """Return the instruments of a venue that are held or watched."""
        views = self._state.markets
        return [views[key].instrument for key in sorted(views) if key.venue == venue]

    def blind(self) -> Sequence[InstrumentId]:
        """Return the instruments whose prices do not arrive."""
        return sorted(self._state.blind)

    def resolving(self) -> Sequence[str]:
        """Return the ids of positions whose orders the venue is being asked for after a start."""
        return list(self._state.resolving)

    def entry_refusal(self, order: Order, at_ns: int) -> str | None:
        """Why an entry must not be sent after its commit; None when it may be.

        So with a backstop, which counts as sent from then on.
        """
        if order.purpose is Purpose.BACKSTOP:
            return let_go(self._state, order)
        return entry_refusal(self._state, order, at_ns)

    def waits(self, order: Order) -> bool:
        """Tell whether an order is to be sent later: its venue asked for a pause meanwhile."""
        return self._state.path.waits(order.client_order_id)

    def amendment_problems(self, event: ExitsAmended) -> Sequence[ExitProblem]:
        """Why an amendment cannot be made; empty when it can."""
        return amendment_problems(self._state, event)

    def adoption_obstacles(self, event: PositionAdopted) -> Sequence[Obstacle]:
        """Why an adoption cannot be made; empty when it can."""
        return adoption_obstacles(self._state, event)

    def edges(self) -> Mapping[str, int]:
        """Return how often orders and positions went from one state to another."""
        return dict(self._state.edges)

    def tick_counts(self) -> Mapping[str, int]:
        """Return how many prices were held, and what became of them, by venue and source."""
        return dict(self._state.tick_counts)

    def _priced(self, position: Position) -> Position:
        view = self._state.markets[position.instrument.id]
        priced = replace(position, current_price=view.current(position.trigger))
        return self._state.with_live_peak(priced)

    # Events

    def handle(self, event: Event) -> Effects:
        """Take one event and return what is to be done, records before commands.

        Raises:
            InvariantBroken: our own books contradict themselves.
        """
        kind = type(event)
        on_tick = self._on_tick.get(kind)
        if on_tick is not None:
            return on_tick(event)
        state = self._state
        state.advance(getattr(event, "at_ns", 0))
        self._steps[kind](state, event)
        book_surplus(state)
        tend_backstops(state)
        return state.take_effects()

    def _on_trade(self, tick: TradeTick) -> Effects:
        view = self._markets.get(tick.instrument)
        if view is None:
            return NOTHING
        price, channel = tick.price, view.book.last
        if channel.floor < price < channel.ceil and not view.waiting:
            channel.price = price
            return NOTHING
        arrival = Arrival(PriceName.LAST, price, tick.venue_time_ms, tick.received_ns)
        return self._look(view, (arrival,))

    def _on_mark(self, tick: MarkTick) -> Effects:
        view = self._markets.get(tick.instrument)
        if view is None:
            return NOTHING
        price, channel = tick.mark, view.book.mark
        if channel.floor < price < channel.ceil:
            channel.price = price
            return NOTHING
        arrival = Arrival(PriceName.MARK, price, tick.venue_time_ms, tick.received_ns)
        return self._look(view, (arrival,))

    def _on_quote(self, tick: QuoteTick) -> Effects:
        """Longs close at the bid and are compared with it, shorts with the ask."""
        view = self._markets.get(tick.instrument)
        if view is None:
            return NOTHING
        bid, bids, ask, asks = tick.bid, view.book.bid, tick.ask, view.book.ask
        if bids.floor < bid < bids.ceil and asks.floor < ask < asks.ceil and not view.waiting:
            bids.price, asks.price = bid, ask
            return NOTHING
        time_ms, received_ns = tick.venue_time_ms, tick.received_ns
        arrivals = (
            Arrival(PriceName.BID, bid, time_ms, received_ns),
            Arrival(PriceName.ASK, ask, time_ms, received_ns),
        )
        return self._look(view, arrivals)

    def _look(self, view: MarketView, arrivals: tuple[Arrival, ...]) -> Effects:
        """Take prices that are not quiet."""
        state = self._state
        state.advance_to_frame(arrivals[0].received_ns)
        on_arrivals(state, view, arrivals)
        tend_backstops(state)
        return state.take_effects()


def _on_account_reported(state: State, event: AccountReported) -> None:
    note_liquidations(state, event)
    on_account_reported(state, event)


def _on_bot_switched(state: State, event: BotSwitched) -> None:
    """Stopping stops entries, also those still waiting for a price; never the guard."""
    if state.accepting == event.accepting:
        return
    state.accepting, state.since_ns = event.accepting, event.at_ns
    state.save(SaveBot(event.accepting, event.at_ns))
    kind = "bot.started" if event.accepting else "bot.stopped"
    state.log(kind, event.actor)
    state.notify(kind)
    if not event.accepting:
        for entry in list(state.waiting.values()):
            drop_waiting(state, entry, "bot_stopped: the bot was stopped before the entry was made")


def _on_feed_lost(state: State, event: FeedLost) -> None:
    note_lost(state, event)
    _mark_blind(state, event.instruments, blind=True, cause=event.cause)


def _on_feed_resumed(state: State, event: FeedResumed) -> None:
    _mark_blind(state, event.instruments, blind=False, cause="")
    ask_missed(state, event)


def _mark_blind(
    state: State, instruments: tuple[InstrumentId, ...], *, blind: bool, cause: str
) -> None:
    changed = [i for i in instruments if i in state.markets and (i in state.blind) is not blind]
    if not changed:
        return
    (state.blind.update if blind else state.blind.difference_update)(changed)
    before, after = GuardStatus.ARMED, GuardStatus.BLIND
    if not blind:
        before, after = after, before
    for position in list(state.positions.values()):
        if position.instrument.id in changed and position.guard is before:
            state.put_position(replace(position, guard=after))
    kind = "feed.lost" if blind else "feed.resumed"
    names = [str(instrument) for instrument in changed]
    state.tell(kind, instruments=names, cause=cause)


def _on_clock(state: State, event: ClockAdvanced) -> None:
    state.set_clock(event.at_ns, event.monotonic_ns)
    tell_stall(state, event.late_ns)
    expire_waiting(state)
    on_time(state, event.monotonic_ns)
    close_expired(state)
    ask_overdue(state)
    ask_again(state)
    ask_while_blind(state)
    read_due(state)
    end_glances(state)
    resend_deferred(state)
    retry_exits(state)
    retry_rungs(state)
    look_again(state)
    if state.elapsed_ns >= state.peaks_due_ns:
        state.peaks_due_ns = state.elapsed_ns + SAVE_PEAKS_NS
        save_peaks(state, SAVED_PEAKS)
