"""The way of a price that is not quiet: believed or held, compared, acted upon in slices.

A price that reaches thousands of rules is acted upon ``SLICE`` rules at a time, and other events
have their turn in between (``Continue``). Meanwhile later prices of the instrument wait, in their
order; when many wait, each channel keeps its extremes and its last.
"""

from collections import deque
from collections.abc import Iterable

from engine.core.belief import Belief, PriceName
from engine.core.book.codes import Hit
from engine.core.entries import retry_waiting
from engine.core.hits import on_hit
from engine.core.state import Arrival, MarketView, State
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
    for arrival in arrivals:
        _take(state, view, arrival)
    _go_on(state, view)


def on_continued(state: State, event: Continued) -> None:
    """Go on with the closes of the instrument whose turn it is."""
    del event
    state.continuing = False
    if not state.busy:
        return
    instrument = next(iter(state.busy))
    del state.busy[instrument]
    view = state.markets.get(instrument)
    if view is not None:
        for belief in view.beliefs.values():
            if belief.channel.due is not None:
                _act(state, belief.channel.more(SLICE), belief.received_ns)
        _go_on(state, view)
    else:
        _continue(state)


def on_prices_checked(state: State, event: PricesChecked) -> None:
    """Take what the venue says by REST: it speaks for or against prices in doubt.

    Its last trade may be an old one, so that only ever confirms.
    """
    view = state.markets.get(event.instrument)
    if view is None or not view.doubted:
        return
    middle = None
    if event.bid is not None and event.ask is not None:
        middle = (event.bid + event.ask) / 2
    for belief in view.beliefs.values():
        if event.last is not None and belief.leans_to(event.last):
            _believe(state, view, belief, belief.witness(event.last), event.received_ns)
        for price in (event.mark, middle):
            if price is not None:
                _believe(state, view, belief, belief.witness(price), event.received_ns)
    _go_on(state, view)


def on_time(state: State, now_ns: int) -> None:
    """Believe held prices that nothing has contradicted, and confirm stops by the time."""
    for view in list(state.markets.values()):
        doubted = view.doubted
        for belief in view.beliefs.values():
            if doubted:
                _believe_unconfirmed(state, view, belief, now_ns)
            if belief.channel.confirming and view.instrument.id not in state.busy:
                belief.received_ns = 0
                _act(state, belief.channel.elapse(now_ns, SLICE), 0)
        if doubted or any(belief.channel.due is not None for belief in view.beliefs.values()):
            _go_on(state, view)


def _believe_unconfirmed(state: State, view: MarketView, belief: Belief, now_ns: int) -> None:
    believed = belief.wait(now_ns)
    if believed:
        data = {"instrument": str(view.instrument.id), "price": plain(exact(believed[0]))}
        state.log("price.unconfirmed", **data)
        state.notify("price.unconfirmed", **data)
        _believe(state, view, belief, believed, 0, now_ns)


def _take(state: State, view: MarketView, arrival: Arrival) -> None:
    name, price, time_ms, received_ns = arrival
    belief = view.beliefs[name]
    was_held = belief.held is not None
    believed = belief.judge(price, time_ms, received_ns)
    _believe(state, view, belief, believed, received_ns)
    if belief.held is not None and not was_held:
        _doubt(state, view, name, received_ns)
    elif view.doubted and believed:
        _testify(state, view, name, received_ns)


def _doubt(state: State, view: MarketView, name: PriceName, received_ns: int) -> None:
    """A price is held: ask the venue, and believe it if another source is there already.

    What another source said before may be old, so it does not contradict.
    """
    view.doubted = True
    state.command(CheckPrices(view.instrument))
    belief = view.beliefs[name]
    for witness in (PriceName.LAST, PriceName.MARK, PriceName.BID):
        price = _spoken(view, witness)
        if price is not None and _is_other(witness, name) and belief.leans_to(price):
            _believe(state, view, belief, belief.witness(price), received_ns)


def _testify(state: State, view: MarketView, witness: PriceName, received_ns: int) -> None:
    """Let a believed price speak for or against the held ones of other sources."""
    price = _spoken(view, witness)
    for name, belief in view.beliefs.items():
        if price is not None and belief.held is not None and _is_other(witness, name):
            _believe(state, view, belief, belief.witness(price), received_ns)


def _is_other(one: PriceName, other: PriceName) -> bool:
    """Tell whether two prices are of different sources; bid and ask are of one."""
    return one is not other and not (one in BOOK and other in BOOK)


def _spoken(view: MarketView, name: PriceName) -> float | None:
    """The price a source speaks with: the middle of the book for its sides."""
    if name in BOOK:
        known = view.bid is not None and view.ask is not None
        return (view.bid + view.ask) / 2 if known else None  # type: ignore[operator]  # known
    return view.beliefs[name].channel.price


def _believe(
    state: State,
    view: MarketView,
    belief: Belief,
    prices: list[float],
    received_ns: int,
    now_ns: int | None = None,
) -> None:
    """Compare believed prices with the book, in order; what follows a busy one waits."""
    channel = belief.channel
    for price in prices:
        if channel.due is not None:
            view.later.append(Arrival(belief.name, price, 0, received_ns))
        else:
            belief.received_ns = received_ns
            taken_ns = received_ns if now_ns is None else now_ns
            _act(state, channel.take(price, taken_ns, SLICE), received_ns)
    for count in belief.counts:
        state.tick_counts[f"{view.instrument.id.venue}.{belief.name}.{count}"] += 1
    belief.counts.clear()


def _act(state: State, hits: list[Hit], received_ns: int) -> None:
    for hit in hits:
        on_hit(state, hit, received_ns)


def _go_on(state: State, view: MarketView) -> None:
    """Take the prices that waited, unless closes are still due; then let calm prices pass."""
    while view.later and not _is_due(view):
        _take(state, view, view.later.popleft())
    view.doubted = any(belief.held is not None for belief in view.beliefs.values())
    for belief in view.beliefs.values():
        belief.settle(doubted=view.doubted)
    instrument = view.instrument.id
    if _is_due(view):
        state.busy[instrument] = None
    _continue(state)
    if view.waiting and instrument not in state.blind:
        retry_waiting(state, instrument)


def _continue(state: State) -> None:
    """Ask for another turn, once, while closes are due."""
    if state.busy and not state.continuing:
        state.continuing = True
        state.command(Continue())


def _is_due(view: MarketView) -> bool:
    return any(belief.channel.due is not None for belief in view.beliefs.values())


def conflated(later: Iterable[Arrival]) -> deque[Arrival]:
    """Keep of each price the lowest, the highest and the last, in the order they came."""
    arrivals = list(later)
    kept: set[int] = set()
    for name in PriceName:
        places = [place for place, arrival in enumerate(arrivals) if arrival.name is name]
        if places:
            kept.add(min(places, key=lambda place: arrivals[place].price))
            kept.add(max(places, key=lambda place: arrivals[place].price))
            kept.add(places[-1])
    return deque(arrivals[place] for place in sorted(kept))
