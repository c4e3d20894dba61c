"""The story of one lifetime in order, for people: what was told, what the guardian answered, why.

A position is named by the first characters of its id, its orders by those and what they are for:
``q7fe x0`` is the first exit of ``q7fe...``. Times are virtual seconds.
"""

from collections.abc import Callable, Iterator
from typing import Any

from engine.model.effects import (
    AppendEvent,
    CancelOrder,
    CheckPrices,
    Effect,
    FetchMissed,
    LookUpOrder,
    ReadAccount,
    RefreshInstrument,
    SaveBalance,
    SaveBot,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
    SubmitOrder,
    Unwatch,
    Watch,
)
from engine.model.events import (
    AccountReported,
    AccountResumed,
    BotSwitched,
    ClockAdvanced,
    CloseRequested,
    Event,
    ExitsAmended,
    FeedLost,
    FeedResumed,
    InstrumentRefreshed,
    LeaseChanged,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    PricesChecked,
    PricesMissed,
    SignalReceived,
    Started,
)
from engine.model.ids import parse_client_order_id
from engine.model.money import ZERO, plain
from engine.model.order import Fill, Order
from engine.model.ticks import MarkTick, QuoteTick, TradeTick

SHORT = 4
NS_PER_MS = 1_000_000

_LETTERS = {"entry": "e", "add": "a", "exit": "x", "backstop": "b"}


class Trace:
    """Collects the story of one lifetime."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def event(self, at_ns: int, life: int, event: Event, effects: tuple[Effect, ...]) -> None:
        """The guardian was told something, and answered; a clock without an answer is left out."""
        if type(event) is ClockAdvanced and not effects:
            return
        answer = ", ".join(told_effects(effects))
        arrow = f" -> {answer}" if answer else ""
        self._lines.append(f"{_moment(at_ns)}  life {life}  {told_event(event)}{arrow}")

    def world(self, at_ns: int, text: str) -> None:
        """Something happened outside of the service."""
        self._lines.append(f"{_moment(at_ns)}  world   {text}")

    def lines(self) -> list[str]:
        """The story so far, a line for each thing that happened."""
        return list(self._lines)


def _moment(at_ns: int) -> str:
    return f"{at_ns / 1e9:9.3f} s"


def short(key: str) -> str:
    """Shorten the id of a position, signal or client order."""
    parsed = parse_client_order_id(key)
    if parsed is None:
        return key[:SHORT]
    position_id, purpose, generation = parsed
    return f"{position_id[:SHORT]} {_LETTERS[purpose]}{generation}"


def _fill(fill: Fill) -> str:
    whose = short(fill.client_order_id) if fill.client_order_id else f"nobody's ({fill.kind})"
    price = f"{plain(fill.qty)} {fill.instrument.id.symbol} @ {plain(fill.price)}"
    return f"{fill.side} {price}, {whose}, trade {fill.venue_trade_id}"


def _order(order: Order) -> str:
    key = short(order.client_order_id)
    why = f" by {order.reason}" if order.reason is not None else ""
    return f"{key}: {order.side} {plain(order.qty)} {order.instrument.id.symbol}{why}"


def _looked_up(event: OrderLookedUp) -> str:
    if not event.found:
        return f"{short(event.client_order_id)}: not there{' for certain' * event.certain}"
    filled = sum((fill.qty for fill in event.fills), ZERO)
    return f"{short(event.client_order_id)}: {event.status}, filled {plain(filled)}"


def _signal(event: SignalReceived) -> str:
    signal = event.signal
    size = "" if signal.size is None else f" {signal.size.kind} {plain(signal.size.value)}"
    return f"{short(signal.id)}: {signal.action}{size} {signal.instrument.id}"


def _updated(event: OrderUpdated) -> str:
    why = "" if event.message is None else f" ({event.message})"
    return f"{short(event.client_order_id)}: {event.status}{why}"


def _started(event: Started) -> str:
    return f"{len(event.positions)} positions, {len(event.orders)} orders in the ledger"


def _names(event: FeedLost | FeedResumed) -> str:
    return " ".join(str(instrument) for instrument in event.instruments)


def _checked(event: PricesChecked) -> str:
    prices = f"last {event.last} bid {event.bid} ask {event.ask} mark {event.mark}"
    return f"{event.instrument}: {prices}"


def _missed(event: PricesMissed) -> str:
    if not event.prices:
        return f"{event.instrument} {event.source}: none"
    low = min(price.low for price in event.prices)
    high = max(price.high for price in event.prices)
    return f"{event.instrument} {event.source}: {len(event.prices)} from {low} to {high}"


def _account(event: AccountReported) -> str:
    held = [f"{p.side} {plain(p.qty)} {p.instrument.symbol}" for p in event.positions]
    return f"{event.venue}: {', '.join(held) or 'flat'}"


_EVENTS: dict[type, Callable[[Any], str]] = {
    TradeTick: lambda e: f"{e.instrument} last {e.price}",
    QuoteTick: lambda e: f"{e.instrument} {e.bid} / {e.ask}",
    MarkTick: lambda e: f"{e.instrument} mark {e.mark}",
    Started: _started,
    SignalReceived: _signal,
    CloseRequested: lambda e: f"{short(e.position_id)}: {plain(e.fraction)} by {e.actor}",
    ExitsAmended: lambda e: f"{short(e.position_id)} by {e.actor}",
    BotSwitched: lambda e: "on" if e.accepting else "off",
    OrderSent: lambda e: short(e.client_order_id),
    OrderUpdated: _updated,
    OrderDeferred: lambda e: f"{short(e.client_order_id)}: for {e.retry_after_ns // NS_PER_MS} ms",
    OrderLookedUp: _looked_up,
    OrderFilled: lambda e: _fill(e.fill),
    AccountReported: _account,
    AccountResumed: lambda e: str(e.venue),
    InstrumentRefreshed: lambda e: str(e.instrument.id),
    FeedLost: lambda e: f"{_names(e)} ({e.cause})",
    FeedResumed: _names,
    PricesChecked: _checked,
    PricesMissed: _missed,
    LeaseChanged: lambda e: "held" if e.held else "over",
}


def told_event(event: Event) -> str:
    """Write an event in one line."""
    name, words = type(event).__name__, _EVENTS.get(type(event))
    return name if words is None else f"{name} {words(event)}"


_EFFECTS: dict[type, Callable[[Any], str]] = {
    SaveSignal: lambda e: f"{short(e.record.signal.id)} {e.record.outcome}",
    SavePosition: lambda e: (
        f"{short(e.position.id)} {e.position.status}/{e.position.guard}"
        f" {plain(e.position.qty_open)}"
    ),
    SaveOrder: lambda e: f"{short(e.order.client_order_id)} {e.order.status}",
    SaveFill: lambda e: f"trade {e.fill.venue_trade_id}",
    SaveBalance: lambda e: f"{e.balance.venue} {e.balance.asset} {plain(e.balance.total)}",
    SaveBot: lambda e: "on" if e.accepting else "off",
    AppendEvent: lambda e: str(e.kind),
    SendNotice: lambda e: str(e.kind),
    SubmitOrder: lambda e: _order(e.order) + (" after the commit" if e.after_commit else ""),
    CancelOrder: lambda e: short(e.order.client_order_id),
    LookUpOrder: lambda e: short(e.order.client_order_id),
    CheckPrices: lambda e: str(e.instrument.id),
    FetchMissed: lambda e: f"{e.instrument.id} {e.source}",
    ReadAccount: lambda e: str(e.venue),
    RefreshInstrument: lambda e: str(e.instrument.id),
    Watch: lambda e: str(e.instrument.id),
    Unwatch: lambda e: str(e.instrument),
}


def told_effects(effects: tuple[Effect, ...]) -> Iterator[str]:
    """Write effects, each in a few words."""
    for effect in effects:
        name, words = type(effect).__name__, _EFFECTS.get(type(effect))
        yield name if words is None else f"{name} {words(effect)}"
