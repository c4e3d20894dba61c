"""The judge: says from the simulator's own log what should have become of every position.

It shares no code with book, guardian, feeds or ledger: frames are read as plain JSON, thresholds
are computed anew from the venue's fills, and prices are compared as decimals in one loop.

A frame counts as a crossing only if the service could see it: between the venue's fill and its
arming, and while the service was being killed and started, a crossing may or may not have been
acted upon. Outside of those windows the first crossing decides. It has to come before the exit that
it is the cause of, by the venue's time of that order's arrival, and not long before.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

ARMING_NS = 1_000_000_000
"""How long after a fill the service may take to be told and to arm."""

REACTION_NS = 2_000_000_000
"""How long before its exit order a crossing may have been sent; a busy machine takes its time."""

CLOCKS_NS = 1_000_000
"""How far the wall clock, which stamps the frames, may drift from the monotonic one in a demo."""

MANUAL = frozenset({"manual", "signal"})


class Print(NamedTuple):
    """A market trade as the simulator sent it.

    ``frame`` numbers the frame it came in, ``origin`` says where the price is from. Both times are
    monotonic: ``at_ns`` was noted after the frame went to the socket, ``made_ns`` is the time that
    the venue wrote into it, rounded down to a millisecond.
    """

    frame: int
    at_ns: int
    made_ns: int
    price: Decimal
    origin: str


class Facts(Struct, frozen=True):
    """What the venue's record and the ledger say of one position.

    ``entered_ns`` is the time of the first fill, ``exit_taken_ns`` the time at which the venue got
    the first exit order; both monotonic.
    """

    position_id: str
    instrument: str
    side: str
    status: str
    exit_reason: str | None
    trigger_price: Decimal | None
    take_profit_percent: Decimal | None
    stop_loss_percent: Decimal | None
    entry_qty: Decimal
    entry_value: Decimal
    entered_ns: int
    exit_taken_ns: int | None
    tick_size: Decimal


class Verdict(Struct, frozen=True):
    """Whether a position ended as it should; ``origin`` is that of the price that closed it."""

    position_id: str
    ok: bool
    expected: str
    origin: str | None = None


def read_prints(sent_log: Path, epoch_offset_ns: int) -> dict[str, list[Print]]:
    """Read all market trades of the sent log, by instrument, each trade once.

    Args:
        epoch_offset_ns: UTC minus monotonic time on this machine, nanoseconds.
    """
    prints: dict[str, list[Print]] = {}
    with sent_log.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            instrument = f"{row['venue']}:{row['market']}:{row['symbol']}"
            for price, told_ms in _trades(row):
                made_ns = told_ms * 1_000_000 - epoch_offset_ns
                prints.setdefault(instrument, []).append(
                    Print(row["n"], row["at_ns"], made_ns, Decimal(price), row["origin"])
                )
    return prints


def _trades(row: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield price and UTC ms of the market trades in a frame; other channels have none."""
    channel = row["channel"]
    if channel == "publicTrade":
        frame = json.loads(row["frame"])
        for trade in frame["data"]:
            if not trade["BT"]:
                yield trade["p"], frame["ts"]
    elif channel == "aggTrade" or (channel == "trade" and row["market"] == "spot"):
        frame = json.loads(row["frame"])
        trade = frame.get("data", frame)
        yield trade["p"], trade["E"]


def thresholds(facts: Facts) -> tuple[Decimal | None, Decimal | None]:
    """Return (upper, lower) trigger prices, rounded to the tick towards the entry price."""
    entry = facts.entry_value / facts.entry_qty
    up, down = facts.take_profit_percent, facts.stop_loss_percent
    if facts.side == "short":
        up, down = down, up
    upper = None if not up else _to_tick(entry * (1 + up / 100), facts.tick_size, ROUND_FLOOR)
    lower = None if not down else _to_tick(entry * (1 - down / 100), facts.tick_size, ROUND_CEILING)
    return upper, lower


def _to_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick


def judge(facts: Facts, prints: Sequence[Print], windows: Iterable[tuple[int, int]]) -> Verdict:
    """Compare how a position ended with the prices that were sent.

    Args:
        windows: monotonic (begin, end) of the times in which the service could not see prices.
    """
    if not facts.entry_qty:
        return Verdict(facts.position_id, False, "nothing: the venue has no fill of its entry")
    upper, lower = thresholds(facts)
    unsure = [*windows, (facts.entered_ns, facts.entered_ns + ARMING_NS)]
    last_ns = None if facts.exit_taken_ns is None else facts.exit_taken_ns + CLOCKS_NS
    allowed: list[_Crossing] = []
    decided: Print | None = None
    for seen in prints:
        if seen.at_ns < facts.entered_ns or (last_ns is not None and seen.made_ns > last_ns):
            continue
        reason = _crossed(facts.side, seen.price, upper, lower)
        if reason is None:
            continue
        # Of a frame with many trades only the extremes are sure to be looked at, not each price.
        if decided is not None and seen.frame != decided.frame:
            break
        sure = not any(begin <= seen.at_ns <= end for begin, end in unsure)
        allowed.append(_Crossing(reason, seen, sure))
        if sure:
            decided = decided or seen
    return _verdict(facts, allowed, decided is not None)


class _Crossing(NamedTuple):
    reason: str
    seen: Print
    sure: bool


def _crossed(side: str, price: Decimal, upper: Decimal | None, lower: Decimal | None) -> str | None:
    gain, loss = ("take_profit", "stop_loss") if side == "long" else ("stop_loss", "take_profit")
    if upper is not None and price >= upper:
        return gain
    if lower is not None and price <= lower:
        return loss
    return None


def _verdict(facts: Facts, allowed: list[_Crossing], decided: bool) -> Verdict:
    names = sorted({f"{each.reason} at {each.seen.price}" for each in allowed})
    if not decided:
        names.append("no limit reached")
    expected = " or ".join(names)
    closed = facts.status == "closed"
    if not closed or facts.exit_reason in MANUAL:
        ok = not decided and (facts.status == "open" or closed)
        return Verdict(facts.position_id, ok, expected)
    for each in allowed:
        if _is_cause(facts, each):
            return Verdict(facts.position_id, True, expected, each.seen.origin)
    return Verdict(facts.position_id, False, expected)


def _is_cause(facts: Facts, crossing: _Crossing) -> bool:
    """Tell whether a close is due to this crossing: by reason, price and time.

    A crossing inside a window may have been acted upon much later: its exit was lost with the
    killed process, and sent again by the next one.
    """
    reason, seen, sure = crossing
    if facts.exit_taken_ns is None:
        return False
    late = sure and facts.exit_taken_ns - seen.at_ns > REACTION_NS
    return reason == facts.exit_reason and seen.price == facts.trigger_price and not late
