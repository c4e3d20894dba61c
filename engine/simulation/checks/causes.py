"""Invariant 5: every close has a cause.

A close by the guard names the price that was compared. That price must have been told to the
process while the position had the limit, lie at or beyond it, and be one that the market made; a
bad print is a cause only where no rule tells it from a good one: within the largest jump of the
price before it, or with no true price of its instrument for 2 s after it. Peaks and moved stops
are read in the guardian's favour: whatever it was told by stream, by REST or of a gap may have
moved them. A repetition and a continuation of a close that has begun need no new cause.
"""

from collections.abc import Iterator

from engine.model.events import CloseRequested, PricesChecked, PricesMissed, SignalReceived
from engine.model.exits import ExitReason
from engine.model.money import exact
from engine.simulation.checks.case import BACKSTOP, Case, parts_of
from engine.simulation.checks.detection import may_close
from engine.simulation.checks.guarded import Guarded
from engine.simulation.history import Request
from engine.simulation.oracle import levels
from engine.simulation.oracle.paths import Path
from engine.simulation.oracle.prices import JUMP, Track, price_by_rest
from engine.simulation.oracle.stretches import Stretch
from engine.simulation.plan import EPOCH_NS

CAUSE, CONFIRMED = "close_has_cause", "stop_confirmed"
GUARD = "guard"
BELIEVED_AFTER_NS = 2_000_000_000
CLOCK_NS = 500_000_000
"""How often a process looks at the time."""
NS_PER_MS = 1_000_000
STOPS = frozenset((ExitReason.STOP_LOSS, ExitReason.BREAK_EVEN, ExitReason.TRAILING))
BY_PRICE = STOPS | {ExitReason.TAKE_PROFIT, ExitReason.LADDER}


def judge_causes(case: Case, guarded: Guarded) -> None:
    """Judge the first request under each id."""
    seen: set[str] = set()
    for request in guarded.exits:
        key = request.order.client_order_id
        if key not in seen:
            case.judged(CAUSE)
            why = _lacks_cause(case, guarded, request, is_first=not seen)
            if why is not None:
                case.blame(5, CAUSE, request.at_ns, f"{key}: {why}")
        seen.add(key)


def _lacks_cause(case: Case, guarded: Guarded, request: Request, *, is_first: bool) -> str | None:
    order = request.order
    if order.actor != GUARD or order.reason in {ExitReason.MANUAL, ExitReason.SIGNAL}:
        if not is_first and order.actor == GUARD:
            return None
        return None if _was_asked(case, guarded, request) else f"nobody asked for {order.reason}"
    if order.reason is ExitReason.TIME:
        return _lacks_time(guarded, request, is_first=is_first)
    if order.reason is ExitReason.BACKSTOP:
        return None if _was_triggered(case, guarded, request) else "no stop order was triggered"
    if order.reason not in BY_PRICE:
        return f"the guard closes nothing for {order.reason}"
    if order.trigger_price is None:
        return None if not is_first or _is_crossed(guarded, request) else "no price reached it"
    return _lacks_price(case, guarded, request)


def _was_asked(case: Case, guarded: Guarded, request: Request) -> bool:
    """Whether the owner or a signal had asked for it, in this life or one before."""
    for place in case.told_of.get(guarded.position.id, ()):
        told = case.history.told[place]
        if isinstance(told.event, CloseRequested) and told.at_ns <= request.at_ns:
            return True
    return any(
        isinstance(told.event, SignalReceived)
        and told.at_ns <= request.at_ns
        and may_close(guarded, told.event)
        for told in (case.history.told[place] for place in case.signals_told)
    )


def _was_triggered(case: Case, guarded: Guarded, request: Request) -> bool:
    """Whether a stop order at the venue had closed something: the guard closes the rest."""
    return any(
        (parts_of(fill.client_order_id) or "  ")[1] == BACKSTOP
        and fill.time_ns - EPOCH_NS <= request.at_ns
        for fill in case.executions.get(guarded.position.id, ())
    )


def _lacks_time(guarded: Guarded, request: Request, *, is_first: bool) -> str | None:
    """Deadlines are kept by the host's UTC, of which the order has the moment."""
    deadlines = [each.asked.deadline_ns(each.entry_ns) for each in guarded.stretches]
    known = [deadline_ns for deadline_ns in deadlines if deadline_ns is not None]
    if not is_first or (known and request.order.created_at_ns >= min(known)):
        return None
    return "its time was not over"


# By price


def _lacks_price(case: Case, guarded: Guarded, request: Request) -> str | None:
    """A close that was made and not sent in one life may be sent in the next."""
    order = request.order
    price = float(order.trigger_price or 0)
    doubtful = None
    for stretch in guarded.stretches:
        if stretch.life > request.life or not _reaches(case, guarded, stretch, price, request):
            continue
        if price in _missed(case, guarded, stretch, request):
            return None
        track = guarded.compared_prices(stretch)
        for place in _places(track, price, request.at_ns):
            if not _is_within(case, stretch, track, place):
                continue
            if track.index[place] in track.untrue and not _is_plausible(track, place):
                doubtful = f"{price} was a bad print that others contradicted"
            elif not _is_confirmed(case, guarded, stretch, request, place):
                doubtful = "the stop was not confirmed as long as the owner wants"
            else:
                return None
    return doubtful or f"{price} is no {order.reason} that was told"


def _places(track: Track, price: float, until_ns: int) -> list[int]:
    return [k for k, p in enumerate(track.price) if p == price and track.at_ns[k] <= until_ns]


def _is_within(case: Case, stretch: Stretch, track: Track, place: int) -> bool:
    """Whether the limits of a stretch could meet a price.

    One that was held is compared when it is believed, and all that came while the process stood
    still afterwards: both may meet limits that are younger than they are.
    """
    if track.index[place] >= stretch.begin:
        return track.index[place] <= stretch.end
    if any(struck.fault.kind == "stall" for struck in case.history.struck):
        return True
    late_ns = case.history.told[stretch.begin].at_ns - track.at_ns[place]
    before = track.price[place - 1] if place else track.price[place]
    is_jump = abs(track.price[place] - before) > before * JUMP
    return is_jump and late_ns <= BELIEVED_AFTER_NS + CLOCK_NS


def _is_plausible(track: Track, place: int) -> bool:
    """Whether a process cannot tell a bad print from a good one."""
    price = track.price[place]
    before = track.price[place - 1] if place else price
    if abs(price - before) <= before * JUMP:
        return True
    later = place + 1
    return later >= len(track.price) or (
        track.at_ns[later] - track.at_ns[place] >= BELIEVED_AFTER_NS
    )


def _missed(
    case: Case, guarded: Guarded, stretch: Stretch, request: Request | None
) -> Iterator[float]:
    """Prices of a gap, of the channel in use: by then, where they close; of a whole life else."""
    if request is not None and not case.plan.gap_strict:
        return
    for place in case.by_rest.get((stretch.life, guarded.instrument.id), ()):
        told = case.history.told[place]
        if request is not None and told.at_ns > request.at_ns:
            break
        event = told.event
        if isinstance(event, PricesMissed) and event.source is stretch.asked.trigger:
            for missed in event.prices:
                yield missed.low
                yield missed.high


def _checked(case: Case, guarded: Guarded, stretch: Stretch) -> Iterator[float]:
    """Prices that were told by REST in a life, of the channel in use."""
    for place in case.by_rest.get((stretch.life, guarded.instrument.id), ()):
        event = case.history.told[place].event
        if isinstance(event, PricesChecked):
            price = price_by_rest(event, stretch.asked.trigger, guarded.position.side)
            if price is not None:
                yield price


def _reaches(
    case: Case, guarded: Guarded, stretch: Stretch, price: float, request: Request
) -> bool:
    """Whether a price is at or beyond the limit that a request names, as it stood at the best."""
    reason, asked, sign = request.order.reason, stretch.asked, guarded.sign
    tick, mirrored = guarded.instrument.tick_size, sign * price
    if reason is ExitReason.TAKE_PROFIT:
        level = levels.profit(sign, asked.take_profit, stretch.entry, tick)
        return level is not None and mirrored >= sign * float(level)
    if reason is ExitReason.LADDER:
        found = (levels.profit(sign, rung.at, stretch.entry, tick) for rung in asked.ladder)
        return any(level is not None and mirrored >= sign * float(level) for level in found)
    return any(mirrored <= level for level in _stops(case, guarded, stretch, request))


def _stops(case: Case, guarded: Guarded, stretch: Stretch, request: Request) -> Iterator[float]:
    """Where the stop that a request names may have lain."""
    asked, sign, tick = stretch.asked, guarded.sign, guarded.instrument.tick_size
    reason = request.order.reason
    if reason is ExitReason.TRAILING:
        if asked.distance is not None:
            top = _best(case, guarded, stretch, request)
            peak = exact(sign * top)
            yield sign * float(levels.trail(sign, peak, asked.distance, tick))
        return
    if reason is ExitReason.STOP_LOSS:
        level = levels.loss(sign, asked.stop_loss, stretch.entry, tick)
        if level is not None:
            yield sign * float(level)
    if reason is ExitReason.BREAK_EVEN or any(each.is_amended for each in guarded.stretches):
        for each in guarded.stretches:
            if each.begin <= stretch.end and _may_be_even(case, guarded, each, request):
                path = Path(sign, guarded.instrument, guarded.fee, each.asked, each.entry)
                yield path.even_stop(spare_ticks=-1)


def _may_be_even(case: Case, guarded: Guarded, stretch: Stretch, request: Request) -> bool:
    asked, sign, tick = stretch.asked, guarded.sign, guarded.instrument.tick_size
    if not asked.moves_to_even:
        return False
    moved_by = [levels.profit(sign, asked.even_at, stretch.entry, tick)]
    rungs = asked.ladder[max(asked.even_rung - 1, 0) : asked.even_rung]
    moved_by += [levels.profit(sign, rung.at, stretch.entry, tick) for rung in rungs]
    best = _best(case, guarded, stretch, request)
    return any(level is not None and best >= sign * float(level) for level in moved_by)


def _best(case: Case, guarded: Guarded, stretch: Stretch, request: Request) -> float:
    """The best price, mirrored, that may have counted for a position by then; never forgotten."""
    sign, tick = guarded.sign, guarded.instrument.tick_size
    rounded = levels.up if sign > 0 else levels.down
    best = sign * float(rounded(stretch.entry, tick))
    first = min(each.begin for each in guarded.stretches)
    for each in guarded.stretches:
        best = max(best, sign * float(rounded(each.entry, tick)))
        track = guarded.told_prices(each)
        begin, end = track.span(min(first, each.begin), each.end)
        prices = track.price[begin:end]
        if prices:
            best = max(best, max(prices) if sign > 0 else -min(prices))
        for price in (*_missed(case, guarded, each, None), *_checked(case, guarded, each)):
            best = max(best, sign * price)
    del request
    return best


def _is_crossed(guarded: Guarded, request: Request) -> bool:
    """Whether any price that was told reached the rule that a request without a price names."""
    case = guarded.case
    return any(
        _reaches(case, guarded, stretch, price, request)
        for stretch in guarded.stretches
        for price in (
            *guarded.compared_prices(stretch).price,
            *_missed(case, guarded, stretch, request),
        )
    )


def _is_confirmed(
    case: Case, guarded: Guarded, stretch: Stretch, request: Request, place: int
) -> bool:
    """Whether the price stayed beyond the stop for as long, and as many prices, as asked for.

    ``place`` is where the price that the request names stands in its track. What ends a run for
    sure is a price short of the stop that is no jump.
    """
    asked = stretch.asked
    if request.order.reason not in STOPS or (asked.confirm_ms == 0 and asked.confirm_ticks <= 1):
        return True
    case.judged(CONFIRMED)
    level = max(_stops(case, guarded, stretch, request))
    track = guarded.compared_prices(stretch)
    first = last = place
    while first > 0 and not _ends_run(guarded, track, first - 1, level):
        first -= 1
    over_ns = request.at_ns
    while last + 1 < len(track.price):
        if _ends_run(guarded, track, last + 1, level):
            over_ns = min(over_ns, track.at_ns[last + 1])
            break
        last += 1
    waited_ms = (over_ns - track.at_ns[first]) // NS_PER_MS
    return last - first + 1 >= asked.confirm_ticks and waited_ms >= asked.confirm_ms


def _ends_run(guarded: Guarded, track: Track, place: int, level: float) -> bool:
    price = track.price[place]
    before = track.price[place - 1] if place else price
    is_jump = abs(price - before) > before * JUMP
    return guarded.sign * price > level and not is_jump
