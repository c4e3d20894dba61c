"""The way of a price that is not quiet: believed or held, compared, acted upon in slices.

A price that reaches thousands of rules is acted upon ``SLICE`` rules at a time, and other events
have their turn in between (``Continue``). Meanwhile later prices of the instrument wait, in their
order; when many wait, each channel keeps its extremes and its last. No turn acts upon more than one
slice of each price it takes, whether one price reached all of it or many that waited did.
"""

from collections import deque
from collections.abc import Iterable

from engine.core.belief import Belief, Believed, PriceName
from engine.core.book.codes import Hit
from engine.core.entries import retry_waiting
from engine.core.hits import on_hit
from engine.core.market_view import Arrival, MarketView
from engine.core.state import State
from engine.model.effects import CheckPrices, Continue
from engine.model.events import Continued, PricesChecked
from engine.model.money import exact, plain

SLICE = 32
"""Closes made at one go: each takes some 0.1 ms, and other instruments' prices wait for them."""

MAX_LATER = 256

BOOK = (PriceName.BID, PriceName.ASK)


def on_arrivals(state: State, view: MarketView, arrivals: Iterable[Arrival]) -> None:
    """Take the prices of one tick."""
    if view.instrument.id in state.busy:
        view.later.extend(arrivals)
        if len(view.later) > MAX_LATER:
            view.later = conflated(view.later)
        return
    acted = 0
    for arrival in arrivals:
        acted += _take(state, view, arrival)
    _go_on(state, view, acted)


def on_continued(state: State, event: Continued) -> None:
    """Go on with the closes of the instrument whose turn it is."""
    del event
    state.continuing = False
    if not state.busy:
        return
    instrument = next(iter(state.busy))
    del state.busy[instrument]
    view = state.markets.get(instrument)
    if view is None:
        _continue(state)
        return
    acted = 0
    for belief in view.beliefs.values():
        if belief.channel.due is not None and not acted:
            acted = _act(state, belief.channel.more(SLICE), belief.received_ns)
    _go_on(state, view, acted)


def on_prices_checked(state: State, event: PricesChecked) -> None:
    """Take what the venue says by REST: it speaks for or against prices in doubt.

    Its last trade speaks last, and only ever for them: it may be an old one. It may also be the
    very trade that is in doubt, so one of that price says nothing. While the stream brings no
    prices these take their place.
    """
    view = state.markets.get(event.instrument)
    if view is not None and event.instrument in state.blind:
        on_arrivals(state, view, _in_place_of_stream(view, event))
        return
    if view is None or not view.doubted:
        return
    middle = None
    if event.bid is not None and event.ask is not None:
        middle = (event.bid + event.ask) / 2
    last, acted = _last_by_rest(view, event), 0
    for belief in view.beliefs.values():
        for price in (event.mark, middle):
            if price is not None:
                believed = belief.witness(price)
                acted += _believe(state, view, belief, believed, event.received_ns)
        if last is not None and belief.leans_to(last):
            acted += _believe(state, view, belief, belief.witness(last), event.received_ns)
    _go_on(state, view, acted)


def _last_by_rest(view: MarketView, event: PricesChecked) -> float | None:
    doubted = view.beliefs[PriceName.LAST].held
    return None if doubted is not None and event.last in doubted.prices else event.last


def _in_place_of_stream(view: MarketView, event: PricesChecked) -> list[Arrival]:
    """The prices of an answer, as they would have arrived; the last trade is the oldest witness.

    The venue tells no times with them, so they are as old as the answer.
    """
    prices: list[tuple[PriceName, float | None]] = [(PriceName.MARK, event.mark)]
    if event.bid is not None and event.ask is not None:
        prices += [(PriceName.BID, event.bid), (PriceName.ASK, event.ask)]
    prices.append((PriceName.LAST, _last_by_rest(view, event)))
    return [
        Arrival(name, price, 0, event.received_ns) for name, price in prices if price is not None
    ]


def on_time(state: State, now_ns: int) -> None:
    """Believe held prices that nothing has contradicted, and confirm stops by the time.

    What waits may contradict a held price, or lift a stop that is being confirmed: it comes first.
    """
    for view in list(state.markets.values()):
        doubted, acted = view.doubted, 0
        for belief in view.beliefs.values():
            if doubted and not view.later:
                acted += _believe_unconfirmed(state, view, belief, now_ns)
            if belief.channel.confirming and view.instrument.id not in state.busy:
                belief.received_ns = 0
                acted += _act(state, belief.channel.elapse(now_ns, SLICE), 0)
        if doubted or _is_due(view):
            _go_on(state, view, acted)


def _believe_unconfirmed(state: State, view: MarketView, belief: Belief, now_ns: int) -> int:
    believed = belief.wait(now_ns)
    if not believed:
        return 0
    data = {"instrument": str(view.instrument.id), "price": plain(exact(believed[0]))}
    state.tell("price.unconfirmed", **data)
    return _believe(state, view, belief, believed, 0, now_ns)


def _take(state: State, view: MarketView, arrival: Arrival) -> int:
    """Judge a price and act upon what is believed now; returns how many rules were acted upon."""
    name, price, time_ms, received_ns = arrival
    belief = view.beliefs[name]
    held = belief.held
    believed = belief.judge(price, time_ms, received_ns)
    acted = _believe(state, view, belief, believed, received_ns)
    if believed and view.doubted:
        acted += _testify(state, view, name, received_ns)
    if belief.held is not None and belief.held is not held:
        acted += _doubt(state, view, name, received_ns)
    return acted


def _doubt(state: State, view: MarketView, name: PriceName, received_ns: int) -> int:
    """A price is held: ask the venue, and believe it if another source is there already.

    What another source said before may be old, so it does not contradict. Its own source says
    nothing here: the price before is nearer to itself, and a book with a side in doubt is silent.
    """
    view.doubted = True
    state.command(CheckPrices(view.instrument))
    belief, acted = view.beliefs[name], 0
    for witness in (PriceName.LAST, PriceName.MARK, PriceName.ASK):
        price = _spoken(view, witness)
        if price is not None and belief.leans_to(price):
            acted += _believe(state, view, belief, belief.witness(price), received_ns)
    return acted


def _testify(state: State, view: MarketView, witness: PriceName, received_ns: int) -> int:
    """Let a believed price speak for or against the held ones of other sources."""
    price, acted = _spoken(view, witness), 0
    for name, belief in view.beliefs.items():
        if price is not None and belief.held is not None and _is_other(witness, name):
            acted += _believe(state, view, belief, belief.witness(price), received_ns)
    return acted


def _is_other(one: PriceName, other: PriceName) -> bool:
    """Tell whether two prices are of different sources; bid and ask are of one."""
    return one is not other and not (one in BOOK and other in BOOK)


def _spoken(view: MarketView, name: PriceName) -> float | None:
    """The price that a source speaks with; None where it has none to speak with.

    The book speaks with its middle, when its ask has come: it comes after the bid of its quote.
    """
    if name is PriceName.BID:
        return None
    belief = view.beliefs[name]
    if name is not PriceName.ASK:
        return belief.last
    other = view.beliefs[PriceName.BID]
    if belief.held is not None or other.held is not None:
        return None
    bid, ask = other.last, belief.last
    return None if bid is None or ask is None else (bid + ask) / 2


def _believe(
    state: State,
    view: MarketView,
    belief: Belief,
    prices: list[float],
    received_ns: int,
    now_ns: int | None = None,
) -> int:
    """Take believed prices, in order; returns how many rules were acted upon."""
    taken_ns = received_ns if now_ns is None else now_ns
    belief.believed.extend(Believed(price, received_ns, taken_ns) for price in prices)
    for count in belief.counts:
        state.tick_counts[f"{view.instrument.id.venue}.{belief.name}.{count}"] += 1
    belief.counts.clear()
    return _compare(state, belief)


def _compare(state: State, belief: Belief) -> int:
    """Compare believed prices with the book, until one has something acted upon."""
    channel, acted = belief.channel, 0
    while belief.believed and channel.due is None and not acted:
        price, belief.received_ns, now_ns = belief.believed.popleft()
        acted = _act(state, channel.take(price, now_ns, SLICE), belief.received_ns)
    return acted


def _act(state: State, hits: list[Hit], received_ns: int) -> int:
    for hit in hits:
        on_hit(state, hit, received_ns)
    return len(hits)


def _go_on(state: State, view: MarketView, acted: int) -> None:
    """Take what waits if this turn has not acted yet; then let calm prices pass."""
    for belief in view.beliefs.values():
        if belief.believed and not acted:
            acted = _compare(state, belief)
    while view.later and not acted and not _is_due(view):
        acted = _take(state, view, view.later.popleft())
    view.doubted = any(belief.held is not None for belief in view.beliefs.values())
    instrument = view.instrument.id
    if view.later or _is_due(view):
        state.busy[instrument] = None
    calm = not view.doubted and instrument not in state.busy
    for belief in view.beliefs.values():
        belief.settle(calm=calm)
    _continue(state)
    if view.waiting and instrument not in state.blind:
        retry_waiting(state, instrument)


def _continue(state: State) -> None:
    """Ask for another turn, once, while closes are due."""
    if state.busy and not state.continuing:
        state.continuing = True
        state.command(Continue())


def _is_due(view: MarketView) -> bool:
    """Tell whether believed prices are not all acted upon."""
    beliefs = view.beliefs.values()
    return any(belief.believed or belief.channel.due is not None for belief in beliefs)


def conflated(later: Iterable[Arrival]) -> deque[Arrival]:
    """Keep of each price the lowest, the highest and the last, in the order they came.

    The sides of a quote stay together: they speak together.
    """
    arrivals = list(later)
    kept: set[int] = set()
    for name in PriceName:
        places = [place for place, arrival in enumerate(arrivals) if arrival.name is name]
        if places:
            kept.add(min(places, key=lambda place: arrivals[place].price))
            kept.add(max(places, key=lambda place: arrivals[place].price))
            kept.add(places[-1])
    quotes = [place for place in kept if arrivals[place].name in BOOK]
    for place in quotes:
        other = place + (1 if arrivals[place].name is PriceName.BID else -1)
        if other >= 0:
            kept.add(other)
    return deque(arrivals[place] for place in sorted(kept))
