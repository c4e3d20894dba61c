"""Whether a venue takes our requests at all, and what the owner has to do where it does not.

Three things stop trading at a venue: an order that was refused for what the key is, any other
request that was, and a key that is examined and found to be dangerous. Each ends in its own way, so
that a reading that succeeds does not hide an order that cannot.
"""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum

import structlog

from engine.model.events import TradingResumed, TradingStopped
from engine.model.instrument import Market
from engine.ports import BrokerEvent, Clock
from engine.venues.account import AccountFacts

PERCENT = 100

log = structlog.get_logger(__name__)


class Cause(StrEnum):
    """What stopped trading. ``order``: over when one succeeds or the key is examined anew.

    ``account``: over when any request succeeds. ``key``: over when the key is examined and right.
    """

    ORDER = "order"
    ACCOUNT = "account"
    KEY = "key"


class Standing:
    """What is known of our key at one venue; tells when trading stops and resumes.

    Args:
        risky_allowed: the owner wants keys that may withdraw or transfer (ALLOW_RISKY_KEYS).
        fee_rates: taker fees that sizes are computed with, as fractions.

    Attributes:
        stopped: set while trading is stopped.
    """

    def __init__(
        self,
        venue: str,
        clock: Clock,
        tell: Callable[[BrokerEvent], None],
        *,
        risky_allowed: bool,
        fee_rates: Mapping[Market, Decimal],
    ) -> None:
        self.stopped = asyncio.Event()
        self._venue = venue
        self._clock = clock
        self._tell = tell
        self._risky_allowed = risky_allowed
        self._fee_rates = fee_rates
        self._causes: dict[Cause, str] = {}
        self._barred: dict[Market, str] = {}

    @property
    def is_stopped(self) -> bool:
        return bool(self._causes)

    def barred(self, market: Market) -> str:
        """Return why the key may open nothing on a market, with the remedy; empty where it may."""
        return self._barred.get(market, "")

    def stop(self, cause: Cause, message: str) -> None:
        """Note that requests are not taken; told when it is news."""
        if self._causes.get(cause) != message:
            self._causes[cause] = message
            self.stopped.set()
            log.error("venue.stopped", venue=self._venue, cause=str(cause), message=message)
            self._tell(TradingStopped(self._venue, message, self._clock.now_ns()))

    def clear(self, *causes: Cause) -> None:
        """Note that something was put right; told when nothing else stops trading."""
        known = [cause for cause in causes if self._causes.pop(cause, None) is not None]
        if not known:
            return
        now_ns = self._clock.now_ns()
        if self._causes:
            # The owner was shown the last remedy only.
            self._tell(TradingStopped(self._venue, next(iter(self._causes.values())), now_ns))
        else:
            self.stopped.clear()
            log.info("venue.resumed", venue=self._venue)
            self._tell(TradingResumed(self._venue, now_ns))

    def judge(self, facts: AccountFacts) -> None:
        """Go by what the venue tells of the key."""
        self._barred = {
            market: f"the key may not trade {market}: allow it at {self._venue}"
            for market in Market
            if market not in facts.may_trade
        }
        self._compare_fees(facts)
        risky = self._risk(facts)
        if risky:
            self.stop(Cause.KEY, risky)
        elif not facts.may_trade:
            message = f"the key may not trade: allow spot and linear trading at {self._venue}"
            self.stop(Cause.KEY, message)
        else:
            self.clear(Cause.KEY, Cause.ORDER, Cause.ACCOUNT)

    def _risk(self, facts: AccountFacts) -> str:
        rights = {"withdraw": facts.may_withdraw, "transfer": facts.may_transfer}
        risky = " and ".join(right for right, given in rights.items() if given)
        if not risky or self._risky_allowed:
            return ""
        return (
            f"the key may {risky}: take that right from it at {self._venue}, "
            "or set ALLOW_RISKY_KEYS=yes if you mean it"
        )

    def _compare_fees(self, facts: AccountFacts) -> None:
        """Sizes are computed with the usual fee; where ours is another one they are a bit off."""
        for market, text in facts.taker_fees:
            usual = {str(each): rate for each, rate in self._fee_rates.items()}.get(market)
            told = Decimal(text) / PERCENT
            if usual is not None and told != usual:
                log.warning(
                    "venue.fee_differs",
                    venue=self._venue,
                    market=market,
                    told_percent=text,
                    used_percent=str((usual * PERCENT).normalize()),
                )
