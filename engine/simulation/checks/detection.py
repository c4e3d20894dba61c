"""Invariant 4: what a believed price reaches is closed within X, and entries are durable within X.

X counts from the moment at which the price that reached a limit was surely believed (``oracle``),
or from when the position was armed, where its orders were still being asked for after a start.
Nothing is asked for where the process ended before, stood still, or was past its lease within X,
where the account was unexplained within X, and where less was held than the venue takes. X begins
anew when a pause is over for which the venue asked.
"""

from decimal import Decimal

from engine.model.events import OrderDeferred, SignalReceived
from engine.model.exits import ExitReason
from engine.model.instrument import Market
from engine.model.order import Order
from engine.model.signal import Action
from engine.simulation.checks.backstops import ends_of
from engine.simulation.checks.case import BACKSTOP, EXIT, FOR_EVER_NS, Case, parts_of
from engine.simulation.checks.guarded import Guarded
from engine.simulation.checks.known import Known, timeline
from engine.simulation.history import Request, Told
from engine.simulation.oracle.levels import profit
from engine.simulation.oracle.paths import Path
from engine.simulation.oracle.stretches import Stretch
from engine.simulation.plan import EPOCH_NS

DETECTED, ON_TIME, RUNGS, ENTERED = (
    "crossing_closes", "deadline_closes", "rung_closes", "entry_durable"
)  # fmt: skip
X_NS = 1_000_000_000
SHORTEST_PAUSE_NS = 1_000_000_000
CLOCK_NS = 500_000_000
"""How often a process looks at the time."""
NS_PER_MS = 1_000_000
WHOLE = frozenset(
    (
        ExitReason.TAKE_PROFIT, ExitReason.STOP_LOSS, ExitReason.TRAILING, ExitReason.BREAK_EVEN,
        ExitReason.TIME,
    )
)  # fmt: skip
STORAGE = frozenset(("busy", "enospc", "slow_disk", "lost_commit", "stall"))


def judge_detection(case: Case, guarded: Guarded) -> None:
    """Judge one position, life by life."""
    for life in dict.fromkeys(stretch.life for stretch in guarded.stretches):
        stretches = [each for each in guarded.stretches if each.life == life]
        _judge_prices(case, guarded, stretches)
        _judge_deadline(case, guarded, stretches)


def _judge_prices(case: Case, guarded: Guarded, stretches: list[Stretch]) -> None:
    path = _path(guarded, stretches[0])
    rungs: dict[int, int] = {}
    for stretch in stretches:
        _go_over(path, stretch, is_first=stretch is stretches[0], guarded=guarded)
        track = guarded.sure_prices(stretch)
        begin, end = track.span(stretch.begin + 1, stretch.end)
        found = path.walk(track, begin, end)
        _note_rungs(guarded, stretch, rungs, found[0] if found else None)
        if found is None or found[0] > _ended_ns(case, stretch):
            continue  # a price that was believed later is compared with later rules
        at_ns, reason, price = found
        if not _is_excused(case, guarded, stretch, at_ns, price):
            case.judged(DETECTED)
            if not is_closed(case, guarded, stretch.life, at_ns):
                text = f"{guarded.position.id}: {price} reached {reason} and nothing was closed"
                case.blame(4, DETECTED, at_ns, text)
        break
    for at_ns in rungs.values():
        _judge_rung(case, guarded, stretches[0], at_ns)


def _ended_ns(case: Case, stretch: Stretch) -> int:
    told = case.history.told
    return told[stretch.end].at_ns if stretch.end < len(told) else FOR_EVER_NS


def _path(guarded: Guarded, stretch: Stretch) -> Path:
    path = Path(guarded.sign, guarded.instrument, guarded.fee, stretch.asked, stretch.entry)
    durable = stretch.durable
    if durable is not None:
        path.is_even = durable.progress.at_break_even
        path.stop = path.mirrored(durable.stop_loss)
        path.peak = path.mirrored(durable.progress.peak)
    return path


def _go_over(path: Path, stretch: Stretch, *, is_first: bool, guarded: Guarded) -> None:
    """Take up the rules of a stretch. What an amendment does to moved stops is not claimed."""
    before = path.asked
    path.asked, path.entry = stretch.asked, stretch.entry
    path.wait = None  # a stop that lies elsewhere is confirmed from the beginning
    if not is_first and before != stretch.asked:
        if path.is_even or before.moves_to_even:
            path.may_move = path.may_move and not path.is_even
            path.is_even, path.stop = False, None
        if before.distance is None or stretch.asked.trigger is not before.trigger:
            path.peak = None
        is_new = path.peak is None
        path.aim()
        if before.moves_to_even:
            path.stop = None  # it may lie where it was moved to
        if is_new and path.peak is not None:
            path.follow_from(_price_at(guarded, stretch))
        return
    path.aim()


def _price_at(guarded: Guarded, stretch: Stretch) -> float | None:
    """The price that a trailing stop follows from which an amendment brought."""
    track = guarded.sure_prices(stretch)
    place, _ = track.span(stretch.begin, stretch.begin)
    return guarded.sign * track.price[place - 1] if place else None


# Whether it was done


def is_closed(case: Case, guarded: Guarded, life: int, at_ns: int) -> bool:
    """Tell whether a close left in time for what asked for it at a moment, or had begun before."""
    until_ns = deadline_of(case, guarded, life, at_ns)
    ended_ns = case.alive_until(life)
    if ended_ns is not None and ended_ns <= until_ns:
        return True
    for request in guarded.exits:
        if request.at_ns > until_ns:
            break
        if request.life > life:
            continue
        if request.at_ns >= at_ns or _is_whole(case, request, life):
            return True
        if request.order.qty >= guarded.instrument.floor_qty(guarded.held(request.at_ns)):
            return True  # all of it was asked for already, as a part
    if _was_all_asked(case, guarded, life, until_ns) or _was_triggered(case, guarded, until_ns):
        return True
    return not is_sellable(guarded, guarded.held(until_ns), None)


def _was_triggered(case: Case, guarded: Guarded, until_ns: int) -> bool:
    """Tell whether a stop order at the venue had begun to close it."""
    return any(
        (parts_of(fill.client_order_id) or "  ")[1] == BACKSTOP
        and fill.time_ns - EPOCH_NS <= until_ns
        for fill in case.executions.get(guarded.position.id, ())
    )


def _was_all_asked(case: Case, guarded: Guarded, life: int, until_ns: int) -> bool:
    """Tell whether parts in flight together asked for all that was held."""
    known, fills = Known(), case.executions.get(guarded.position.id, ())
    for at_ns, item in timeline(case, guarded.position.id, life, guarded.exits):
        if at_ns > until_ns:
            break
        if not isinstance(item, Order):
            known.take(item)
            continue
        known.ask(item)
        under_way = known.in_flight(EXIT, missing=True)
        asked = {order.client_order_id: order.qty for order in under_way}
        for fill in fills:
            if fill.client_order_id in asked and fill.time_ns - EPOCH_NS <= at_ns:
                asked[fill.client_order_id] -= fill.qty
        if sum(asked.values()) >= guarded.instrument.floor_qty(guarded.held(at_ns)):
            return True
    return False


def _is_whole(case: Case, request: Request, life: int) -> bool:
    """Tell whether a request began a close of all: in this life, or before and at the venue."""
    if request.order.reason not in WHOLE:
        return False
    arrivals = case.arrivals_of.get(request.order.client_order_id, ())
    return request.life == life or any(arrival.taken for arrival in arrivals)


def deadline_of(case: Case, guarded: Guarded, life: int, at_ns: int) -> int:
    """Until when a close must have left: X later, or after the position was armed."""
    starts = case.starts.get(life)
    durable = starts is not None and any(
        each.id == guarded.position.id for each in starts[1].positions
    )
    if durable:
        armed_ns = case.armed.get((life, guarded.position.id))
        if armed_ns is None:
            return FOR_EVER_NS  # it was never armed: closes wait for the venue's answers
        at_ns = max(at_ns, armed_ns)
    before_ns = -1
    while at_ns != before_ns:  # one obstacle may end in another
        before_ns = at_ns
        at_ns = max(at_ns, _obstructed(case, guarded, life, at_ns + X_NS))
    return at_ns + X_NS


def _obstructed(case: Case, guarded: Guarded, life: int, by_ns: int) -> int:
    """Until when the process stood still, or its venue wanted nothing sent, that began by then."""
    ends_ns = [
        struck.at_ns + struck.fault.for_ms * NS_PER_MS
        for struck in case.history.struck
        if struck.fault.kind == "stall" and struck.at_ns <= by_ns
    ]
    for place in case.deferrals:
        told = case.history.told[place]
        if told.life == life and told.at_ns <= by_ns:
            ends_ns.append(_pause_end(guarded, told))
    if guarded.instrument.id.market is Market.SPOT:
        ends_ns += _unlocked(case, guarded, life, by_ns)
    return max(ends_ns, default=0)


def _unlocked(case: Case, guarded: Guarded, life: int, by_ns: int) -> list[int]:
    """When the process knew that the stop orders were gone which it had asked to be cancelled."""
    asked = {key for at_ns, by, key in case.history.cancels if by == life and at_ns <= by_ns}
    ends = ends_of(case, guarded.position.id, life, by_ns)
    return [end_ns for key, end_ns in ends if key in asked]


def _pause_end(guarded: Guarded, told: Told) -> int:
    """Until when the position's venue asked us to send nothing; 0 where another one did."""
    event = told.event
    venue = guarded.instrument.id.venue
    if not isinstance(event, OrderDeferred) or guarded.case.venue_of(event) != venue:
        return 0
    return told.at_ns + max(event.retry_after_ns, SHORTEST_PAUSE_NS) + CLOCK_NS


def _is_excused(
    case: Case, guarded: Guarded, stretch: Stretch, at_ns: int, price: float | None
) -> bool:
    if not is_sellable(guarded, guarded.held(at_ns), price):
        return True
    if is_hindered(case, guarded, stretch.life, at_ns):
        return True
    return _asked_by_signal(case, guarded, stretch.life, at_ns)


def is_hindered(case: Case, guarded: Guarded, life: int, at_ns: int) -> bool:
    """Tell whether closes were looked up first, or capped, within X of what asked for one.

    A holder past its lease looks a close up before it is sent, also when it has it again by then,
    and what is held of an unexplained account bounds it.
    """
    until_ns = deadline_of(case, guarded, life, at_ns)
    fenced = case.fenced.get(life, [])
    spells = [*fenced, *case.unexplained.get((life, str(guarded.instrument.id)), ())]
    if any(begin <= until_ns and at_ns - X_NS <= end for begin, end in spells):
        return True
    waiting = [r.order for r in guarded.exits if r.life == life and r.at_ns > at_ns]
    made_ns = [order.created_at_ns - EPOCH_NS for order in waiting]
    return any(begin <= each <= min(end, at_ns) for each in made_ns for begin, end in fenced)


def is_sellable(guarded: Guarded, held: Decimal, price: float | None) -> bool:
    """Tell whether the venue takes a close of what is held; without a price whatever its worth."""
    instrument = guarded.instrument
    qty = held // instrument.qty_step * instrument.qty_step
    if qty <= 0 or instrument.id.market is Market.LINEAR:
        return qty > 0 and qty >= instrument.min_qty
    worth = price is None or float(qty) * price >= float(instrument.min_notional) * 1.01
    return qty >= instrument.min_qty and worth


def _asked_by_signal(case: Case, guarded: Guarded, life: int, at_ns: int) -> bool:
    """Whether a signal may have begun to close it by then."""
    for place in case.signals_told:
        told = case.history.told[place]
        if told.at_ns > at_ns + X_NS or told.life > life:
            continue
        if isinstance(told.event, SignalReceived) and may_close(guarded, told.event):
            return True
    return False


def may_close(guarded: Guarded, event: SignalReceived) -> bool:
    """Tell whether a signal may be meant to close a position."""
    signal, position = event.signal, guarded.position
    if signal.instrument.id != position.instrument.id or signal.id == position.signal_id:
        return False
    if signal.action is Action.CLOSE:
        return signal.strategy is None or signal.strategy == position.strategy
    return (signal.action is Action.SELL) is (guarded.sign > 0)


# Time


def _judge_deadline(case: Case, guarded: Guarded, stretches: list[Stretch]) -> None:
    """Time closes a position too; not where the host's UTC was ever set wrong."""
    if any(struck.fault.kind == "jump" for struck in case.history.struck):
        return
    told = case.history.told
    for stretch in stretches:
        deadline_ns = stretch.asked.deadline_ns(stretch.entry_ns)
        if deadline_ns is None:
            continue
        begin_ns = told[stretch.begin].at_ns
        at_ns = max(deadline_ns - EPOCH_NS, begin_ns)
        end_ns = told[stretch.end].at_ns if stretch.end < len(told) else None
        if end_ns is not None and end_ns <= at_ns + X_NS:
            continue
        ended_ns = case.alive_until(stretch.life)
        quiet_ns = case.history.quiet_ns
        if (ended_ns or quiet_ns or 0) <= at_ns + X_NS:
            return
        if not _is_excused(case, guarded, stretch, at_ns, None):
            case.judged(ON_TIME)
            if not is_closed(case, guarded, stretch.life, at_ns):
                text = f"the time of {guarded.position.id} was over and nothing was closed"
                case.blame(4, ON_TIME, at_ns, text)
        return


# Rungs


def _note_rungs(
    guarded: Guarded, stretch: Stretch, rungs: dict[int, int], until_ns: int | None
) -> None:
    """Note when the first untouched rung was surely reached, in the life the position began in."""
    ladder = stretch.asked.ladder
    if stretch.durable is not None or stretch.is_amended or not ladder or rungs:
        return
    tick, sign = guarded.instrument.tick_size, guarded.sign
    level = profit(sign, ladder[0].at, stretch.entry, tick)
    if level is None:
        return
    track = guarded.sure_prices(stretch)
    begin, end = track.span(stretch.begin + 1, stretch.end)
    at = sign * float(level)
    for place in range(begin, end):
        if sign * track.price[place] >= at and track.index[place] not in track.untrue:
            at_ns = track.at_ns[place]
            qty = ladder[0].fraction * min(stretch.received, guarded.held(at_ns))
            is_due = until_ns is None or at_ns < until_ns
            if is_due and is_sellable(guarded, qty, track.price[place]):
                rungs[0] = at_ns
            return


def _judge_rung(case: Case, guarded: Guarded, stretch: Stretch, at_ns: int) -> None:
    if _is_excused(case, guarded, stretch, at_ns, None):
        return
    case.judged(RUNGS)
    rungs = (r for r in guarded.exits if r.order.reason is ExitReason.LADDER)
    if any(r.life == stretch.life and r.at_ns <= at_ns for r in rungs):
        return  # a price that was no tick had reached it before
    if not is_closed(case, guarded, stretch.life, at_ns):
        text = f"the first rung of {guarded.position.id} was reached and nothing was closed"
        case.blame(4, RUNGS, at_ns, text)


# Entries


def judge_entries(case: Case) -> None:
    """A signal that a process took is durable within X, unless storage was ill or it ended."""
    ill = [
        (struck.at_ns, struck.at_ns + struck.fault.for_ms * NS_PER_MS)
        for struck in case.history.struck
        if struck.fault.kind in STORAGE
    ]
    for place in case.signals_told:
        told = case.history.told[place]
        until_ns = told.at_ns + X_NS
        ended_ns = case.alive_until(told.life)
        if (ended_ns is not None and ended_ns <= until_ns) or any(
            begin <= until_ns and end >= told.at_ns - X_NS for begin, end in ill
        ):
            continue
        if isinstance(told.event, SignalReceived):
            case.judged(ENTERED)
            durable_ns = case.durable.get(told.event.signal.id)
            if durable_ns is None or durable_ns > until_ns:
                text = f"signal {told.event.signal.id} was not durable within X"
                case.blame(4, ENTERED, told.at_ns, text)
