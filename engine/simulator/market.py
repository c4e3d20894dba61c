"""The simulated market: one state per instrument, and the stream of events that changes it.

Sources (recorded, seeded, scripted) publish neutral events; the dialects listen and write them as
frames of their venue. What was published is the history that the REST side answers from.
"""

import uuid
from collections.abc import Callable
from decimal import Decimal

from engine.model.errors import Rejected
from engine.model.instrument import InstrumentId, Market
from engine.simulator.market_events import (
    MARKET_SOURCE,
    Aggregate,
    Mark,
    MarketEvent,
    Origin,
    Print,
    Prints,
    Quote,
    Ticker,
)
from engine.simulator.market_history import Aggregator, History
from engine.simulator.market_listings import Listing, Listings
from engine.simulator.market_pace import VenueTime
from engine.simulator.market_sequences import Sequences

FUNDING_INTERVAL_MS = 8 * 3_600_000
FUNDING_RATE = "0.0001"
BOOK_TIMES = 10
"""Generated quotes are this many times larger than generated trades."""

Listener = Callable[[MarketEvent], None]


def next_funding_ms(now_ms: int) -> int:
    """Return the next of the day's three funding times (00, 08 and 16 h UTC)."""
    return (now_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS


class InstrumentState:
    """What is known of one instrument.

    Attributes:
        last: price text of the last market trade; None before the first.
        scripted: a script owns the price; the other sources keep still.
        tickers_recorded: recorded Bybit ticker frames carry the mark and need no derived one.
        marks_recorded: recorded mark frames exist.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.last: str | None = None
        self.quote: Quote | None = None
        self.mark: Mark | None = None
        self.pinned_mark: Decimal | None = None
        self.scripted = False
        self.tickers_recorded = False
        self.marks_recorded = False
        self.sequences = Sequences()
        self.history = History()
        self.aggregator = Aggregator()

    @property
    def derives_mark(self) -> bool:
        """Whether the mark has to be worked out from the touch."""
        if self.listing.id.market is not Market.LINEAR or self.quote is None:
            return False
        return self.scripted or not (self.tickers_recorded or self.marks_recorded)


class MarketPlace:
    """All instruments of the simulator. Not thread-safe: one event loop owns it."""

    def __init__(self, listings: Listings, time: VenueTime) -> None:
        self.listings = listings
        self.time = time
        self._states: dict[InstrumentId, InstrumentState] = {}
        self._listeners: dict[tuple[str, Market], list[Listener]] = {}

    def listen(self, venue: str, market: Market, listener: Listener) -> None:
        """Hear every event of one market."""
        self._listeners.setdefault((venue, market), []).append(listener)

    def state(self, instrument: InstrumentId) -> InstrumentState:
        """Return an instrument's state.

        Raises:
            Rejected: no such instrument is listed.
        """
        found = self._states.get(instrument)
        if found is None:
            listing = self.listings.get(instrument)
            if listing is None:
                raise Rejected(f"{instrument} is not listed by the simulator")
            found = self._states[instrument] = InstrumentState(listing)
        return found

    def find(self, instrument: InstrumentId) -> InstrumentState | None:
        """Return the state of an instrument that has one."""
        return self._states.get(instrument)

    def active(self) -> list[InstrumentState]:
        """Return the instruments that any source has touched."""
        return list(self._states.values())

    def publish(self, event: MarketEvent) -> None:
        """Take an event into the state and the history, and tell the listeners."""
        state = self.state(event.instrument)
        self._tell(event)
        if isinstance(event, Prints):
            self._add_prints(state, event)
        elif isinstance(event, Quote):
            state.quote = event
        elif isinstance(event, Mark):
            state.mark = event
            state.history.add_mark(event.mark, event.sent_ms)
        elif isinstance(event, Ticker):
            _take_mark(state, event)

    def _tell(self, event: MarketEvent) -> None:
        instrument = event.instrument
        for listener in self._listeners.get((instrument.venue, instrument.market), ()):
            listener(event)

    def _add_prints(self, state: InstrumentState, event: Prints) -> None:
        aggregates = event.instrument.venue == "binance"
        for print_ in event.prints:
            if print_.source != MARKET_SOURCE:
                continue
            state.last = print_.price
            state.history.add(print_)
            if aggregates:
                self._aggregate(state, event, state.aggregator.add(print_))
        if aggregates and event.closes:
            self._aggregate(state, event, state.aggregator.take())

    def _aggregate(self, state: InstrumentState, event: Prints, prints: list[Print]) -> None:
        if not prints:
            return
        first = prints[0]
        total = sum((Decimal(print_.qty) for print_ in prints), Decimal(0))
        aggregate = Aggregate(
            instrument=event.instrument,
            origin=event.origin,
            number=state.sequences.aggregate.fresh(),
            price=first.price,
            qty=first.qty if len(prints) == 1 else format(total, "f"),
            first=first.number,
            last=prints[-1].number,
            taker_buys=first.taker_buys,
            time_ms=first.time_ms,
            sent_ms=event.sent_ms,
        )
        state.history.aggregates.append(aggregate)
        self._tell(aggregate)

    # --- generated events -----------------------------------------------------------------------

    def trade(
        self, instrument: InstrumentId, origin: Origin, price: Decimal, qty: Decimal, buys: bool
    ) -> None:
        """Publish a generated trade."""
        state = self.state(instrument)
        listing, ids = state.listing, state.sequences
        number = ids.trade.fresh()
        time_ms = ids.rising_ms("trade", self.time.now_ms())
        print_ = Print(
            id=_trade_id(instrument, number),
            number=number,
            price=listing.price_text(price),
            qty=listing.qty_text(qty),
            taker_buys=buys,
            time_ms=time_ms,
            seq=ids.shared.fresh(),
        )
        self.publish(Prints(instrument, origin, (print_,), ids.rising_ms("sent", time_ms)))

    def touch(
        self,
        instrument: InstrumentId,
        origin: Origin,
        bid: Decimal,
        bid_qty: Decimal,
        ask_qty: Decimal,
    ) -> None:
        """Publish a generated quote, one tick wide."""
        state = self.state(instrument)
        listing, ids = state.listing, state.sequences
        now_ms = ids.rising_ms("quote", self.time.now_ms())
        self.publish(
            Quote(
                instrument=instrument,
                origin=origin,
                bid=listing.price_text(bid),
                bid_qty=listing.qty_text(bid_qty),
                ask=listing.price_text(bid + listing.tick_size),
                ask_qty=listing.qty_text(ask_qty),
                update=ids.book.fresh(),
                seq=ids.shared.fresh(),
                time_ms=now_ms,
                sent_ms=now_ms,
            )
        )

    def derive_mark(self, state: InstrumentState, origin: Origin | None = None) -> None:
        """Publish a mark: the script's price, else the middle of the touch."""
        quote = state.quote
        if quote is None:
            return
        exact = state.pinned_mark
        if exact is None:
            exact = (Decimal(quote.bid) + Decimal(quote.ask)) / 2
        text = _mark_text(state.listing, exact)
        now_ms = state.sequences.rising_ms("mark", self.time.now_ms())
        self.publish(
            Mark(
                instrument=state.listing.id,
                origin=origin or quote.origin,
                mark=text,
                index=text,
                settle=text,
                funding_rate=FUNDING_RATE,
                next_funding_ms=next_funding_ms(now_ms),
                sent_ms=now_ms,
            )
        )

    def script(self, instrument: InstrumentId, price: Decimal) -> Decimal:
        """Trade at a price at once: a trade, a quote with the bid there, on linear a mark.

        Returns:
            The price traded, rounded to the nearest tick.
        """
        state = self.state(instrument)
        listing = state.listing
        traded = listing.nearest_tick(price)
        qty = listing.typical_qty(traded)
        buys = state.last is None or traded >= Decimal(state.last)
        linear = instrument.market is Market.LINEAR
        state.pinned_mark = traded if linear else None
        self._flush_aggregate(state)
        self.trade(instrument, Origin.SCRIPTED, traded, qty, buys)
        size = listing.typical_qty(traded, BOOK_TIMES)
        self.touch(instrument, Origin.SCRIPTED, traded, size, size)
        if linear:
            self.derive_mark(state, Origin.SCRIPTED)
        return traded

    def _flush_aggregate(self, state: InstrumentState) -> None:
        prints = tuple(state.aggregator.take())
        if prints:
            origin = Origin.RECORDED
            now_ms = self.time.now_ms()
            event = Prints(state.listing.id, origin, prints, now_ms)
            self._aggregate(state, event, list(prints))


def _take_mark(state: InstrumentState, ticker: Ticker) -> None:
    mark = ticker.fields.get("markPrice")
    if mark is not None:
        state.history.add_mark(mark, ticker.sent_ms)
        state.mark = Mark(
            instrument=ticker.instrument,
            origin=ticker.origin,
            mark=mark,
            index=mark,
            settle=mark,
            funding_rate=ticker.fields.get("fundingRate", FUNDING_RATE),
            next_funding_ms=next_funding_ms(ticker.sent_ms),
            sent_ms=ticker.sent_ms,
        )


def _mark_text(listing: Listing, exact: Decimal) -> str:
    """Binance writes marks with 8 decimals, Bybit with those of its prices."""
    if listing.id.venue == "binance":
        return format(exact.quantize(Decimal("1E-8")), "f")
    return listing.price_text(exact)


def _trade_id(instrument: InstrumentId, number: int) -> str:
    """Bybit linear names trades by UUID, the others by number."""
    if instrument.venue == "bybit" and instrument.market is Market.LINEAR:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{instrument}:{number}"))
    return str(number)


def unpin(state: InstrumentState) -> None:
    """Let the mark follow the touch again."""
    state.pinned_mark = None
