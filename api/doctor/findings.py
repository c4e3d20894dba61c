"""What the doctor says of a venue's account: facts in, one line with its remedy out."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from engine.clock import NS_PER_SECOND, to_datetime
from engine.model.instrument import Market
from engine.venues.account import AccountFacts, Outcome, RequestFailed

OFFSET_WARNED_MS = 500.0
"""Requests carry the venue's time whatever ours is; from here on our clock should be looked at."""

OFFSET_REFUSED_MS = 60_000.0
"""From here on the times of the ledger, of signals and of reports are wrong."""

EXPIRY_WARNED_DAYS = 14


class Grade(StrEnum):
    """How a line came out; only ``bad`` ends the command with an error."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


class Finding(Struct, frozen=True):
    """One line: where, what was checked, how it is, what to do."""

    where: str
    check: str
    grade: Grade
    detail: str
    remedy: str = ""


def of_failure(venue: str, error: RequestFailed) -> Iterator[Finding]:
    """Tell why an account could not be examined."""
    unreachable = error.verdict.outcome not in {Outcome.STOP, Outcome.REJECTED}
    check = "reachable" if unreachable else "key"
    remedy = error.verdict.remedy or (
        "check the connection, the venue's status page and the address settings, then try again"
        if unreachable
        else f"make a new key at {venue} with trading rights, and set it"
    )
    if not unreachable:
        yield Finding(venue, "reachable", Grade.OK, "it answers")
    yield Finding(venue, check, Grade.BAD, str(error), remedy)


def of_account(
    venue: str, facts: AccountFacts, *, now_ns: int, risky_allowed: bool
) -> Iterator[Finding]:
    """Judge what a venue told of our key and account."""
    detail = f"answers in {facts.round_trip_ms:.0f} ms"
    yield Finding(venue, "reachable", Grade.OK, detail)
    yield clock_finding(venue, facts.offset_ms)
    yield _trading(venue, facts)
    yield _rights(venue, facts, risky_allowed=risky_allowed)
    yield _address(venue, facts)
    if facts.expires_at_ns is not None:
        yield _expiry(venue, facts.expires_at_ns, now_ns)
    if facts.hedged is not None:
        mode = "hedge: long and short apart" if facts.hedged else "one-way: both sides net"
        yield Finding(venue, "position mode", Grade.OK, mode)
    yield _balances(venue, facts)
    fees = ", ".join(f"{market} {fee} %" for market, fee in facts.taker_fees)
    if fees:
        yield Finding(venue, "taker fees", Grade.OK, fees)
    for note in facts.notes:
        yield Finding(venue, "note", Grade.OK, note)


def clock_finding(venue: str, offset_ms: float) -> Finding:
    """Judge how far a venue's clock (less ours) is from ours."""
    size_ms, check = abs(offset_ms), "clock"
    if size_ms < OFFSET_WARNED_MS:
        return Finding(venue, check, Grade.OK, f"{size_ms:.0f} ms off")
    side = "behind" if offset_ms > 0 else "ahead"
    detail = f"this machine is {size_ms / 1000:.1f} s {side}; requests are corrected"
    grade = Grade.WARNING if size_ms < OFFSET_REFUSED_MS else Grade.BAD
    remedy = "switch time synchronisation on: timedatectl set-ntp true, or install chrony"
    return Finding(venue, check, grade, detail, remedy)


def _trading(venue: str, facts: AccountFacts) -> Finding:
    missing = [str(market) for market in Market if market not in facts.may_trade]
    if not missing:
        return Finding(venue, "key", Grade.OK, "may trade spot and linear")
    remedy = f"allow trading of {' and '.join(missing)} for this key at {venue}"
    if not facts.may_trade:
        return Finding(venue, "key", Grade.BAD, "may not trade", remedy)
    has = " and ".join(map(str, facts.may_trade))
    detail = f"may trade {has} only; signals for {' and '.join(missing)} will be refused"
    return Finding(venue, "key", Grade.WARNING, detail, f"{remedy}, if you want it")


def _rights(venue: str, facts: AccountFacts, *, risky_allowed: bool) -> Finding:
    rights = {"withdraw": facts.may_withdraw, "transfer": facts.may_transfer}
    risky = [right for right, given in rights.items() if given]
    check = "withdrawals"
    if not risky:
        return Finding(venue, check, Grade.OK, "may neither withdraw nor transfer")
    detail = f"the key may {' and '.join(risky)}"
    if risky_allowed:
        return Finding(venue, check, Grade.WARNING, f"{detail}; ALLOW_RISKY_KEYS=yes allows it")
    remedy = (
        f"take that right from the key at {venue} (a thief could empty the account with it), "
        "or set ALLOW_RISKY_KEYS=yes if you mean it"
    )
    return Finding(venue, check, Grade.BAD, f"{detail}; entries are refused with it", remedy)


def _address(venue: str, facts: AccountFacts) -> Finding:
    check = "address binding"
    if facts.bound_to_ip:
        return Finding(venue, check, Grade.OK, "the key works from named addresses only")
    remedy = f"bind the key at {venue} to this machine's public address"
    return Finding(venue, check, Grade.WARNING, "the key works from any address", remedy)


def _expiry(venue: str, expires_at_ns: int, now_ns: int) -> Finding:
    left_days = (expires_at_ns - now_ns) / (86_400 * NS_PER_SECOND)
    day = f"{to_datetime(expires_at_ns):%Y-%m-%d}"
    if left_days > EXPIRY_WARNED_DAYS:
        return Finding(venue, "expiry", Grade.OK, f"the key ends on {day}")
    grade = Grade.WARNING if left_days > 0 else Grade.BAD
    remedy = f"renew the key at {venue}, or bind it to an address so that it does not end"
    return Finding(venue, "expiry", grade, f"the key ends on {day}", remedy)


def _balances(venue: str, facts: AccountFacts) -> Finding:
    if not facts.balances:
        remedy = "put quote asset (USDT) into the account before the first entry"
        return Finding(venue, "balances", Grade.WARNING, "the account is empty", remedy)
    shown = [f"{wallet} {total} {asset}".strip() for wallet, asset, total in facts.balances[:6]]
    rest = len(facts.balances) - len(shown)
    more = f", and {rest} more" if rest else ""
    return Finding(venue, "balances", Grade.OK, ", ".join(shown) + more)
