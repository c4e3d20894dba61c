"""Binance's rate limits: request weights per address, order counts per account, and bans.

Source: limits.md of the spot documentation and the general information of USD-M futures: 429 with
``Retry-After`` once a limit is broken; who goes on is banned (418), the longer the more often, from
2 minutes to 3 days.
"""

from collections import deque

from msgspec import Struct

from engine.clock import NS_PER_SECOND
from engine.model.instrument import Market
from engine.ports import Clock
from engine.simulator.dialects.binance_private_params import Denied
from engine.simulator.market_pace import VenueTime

BAN_AFTER = 10
"""Requests after the first 429 of a minute that turn it into a ban."""

FIRST_BAN_S = 120
LONGEST_BAN_S = 3 * 86_400


class Limit(Struct, frozen=True):
    """How many orders in how many seconds, and the interval as Binance names it."""

    most: int
    seconds: int
    letter: str
    interval: str
    number: int


WEIGHTS = {Market.SPOT: 6000, Market.LINEAR: 2400}
ORDERS = {
    Market.SPOT: (
        Limit(100, 10, "10S", "SECOND", 10),
        Limit(200_000, 86_400, "1D", "DAY", 1),
    ),
    Market.LINEAR: (
        Limit(300, 10, "10S", "SECOND", 10),
        Limit(1200, 60, "1M", "MINUTE", 1),
    ),
}


def described(market: Market) -> list[dict[str, str | int]]:
    """Return the entries of ``exchangeInfo.rateLimits``."""
    rows: list[dict[str, str | int]] = [
        {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": WEIGHTS[market],
        }
    ]
    rows += [
        {
            "rateLimitType": "ORDERS",
            "interval": limit.interval,
            "intervalNum": limit.number,
            "limit": limit.most,
        }
        for limit in ORDERS[market]
    ]
    return rows


class Limits:
    """The counts of one market; the weight's minute is the clock's own, as on the venue.

    Attributes:
        weight_limit: weight per minute; a test may lower it.
        order_limits: of orders placed, likewise.
    """

    def __init__(self, market: Market, clock: Clock, time: VenueTime) -> None:
        self.weight_limit = WEIGHTS[market]
        self.order_limits = ORDERS[market]
        self._clock = clock
        self._time = time
        self._minute = 0
        self._weight = 0
        self._refused = 0
        self._bans = 0
        self._banned_until_ms = 0
        self._placed_ns: deque[int] = deque()

    @property
    def weight(self) -> int:
        """Weight used in this minute."""
        self._turn()
        return self._weight

    def headers(self) -> dict[str, str]:
        """Headers of every answer."""
        return {"X-MBX-USED-WEIGHT-1M": str(self.weight)}

    def order_headers(self) -> dict[str, str]:
        """Headers of answers to new orders."""
        counts = {limit.letter: self._placed(limit) for limit in self.order_limits}
        return {f"X-MBX-ORDER-COUNT-{letter}": str(count) for letter, count in counts.items()}

    def spend(self, weight: int) -> None:
        """Count a request.

        Raises:
            Denied: 418 under a ban, 429 where the minute's weight is used up.
        """
        self._turn()
        now_ms = self._time.now_ms()
        if now_ms < self._banned_until_ms:
            raise self._banned(now_ms)
        self._weight += weight
        if self._weight <= self.weight_limit:
            return
        self._refused += 1
        if self._refused > BAN_AFTER:
            self._ban(now_ms)
            raise self._banned(now_ms)
        left_s = 60 - now_ms // 1000 % 60
        text = (
            f"Too much request weight used; current limit is {self.weight_limit} request weight"
            " per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        )
        raise Denied(-1003, text, 429, {"Retry-After": str(left_s)})

    def count_order(self) -> None:
        """Count a new order.

        Raises:
            Denied: 429 with -1015 where too many were placed.
        """
        for limit in self.order_limits:
            if self._placed(limit) >= limit.most:
                text = f"Too many new orders; current limit is {limit.most} orders per"
                text += f" {limit.number} {limit.interval}."
                raise Denied(-1015, text, 429, {"Retry-After": str(limit.seconds)})
        self._placed_ns.append(self._clock.monotonic_ns())

    def _placed(self, limit: Limit) -> int:
        longest_s = max(each.seconds for each in self.order_limits)
        now_ns = self._clock.monotonic_ns()
        while self._placed_ns and self._placed_ns[0] <= now_ns - longest_s * NS_PER_SECOND:
            self._placed_ns.popleft()
        since_ns = now_ns - limit.seconds * NS_PER_SECOND
        return sum(1 for placed_ns in self._placed_ns if placed_ns > since_ns)

    def _turn(self) -> None:
        minute = self._time.now_ms() // 60_000
        if minute != self._minute:
            self._minute, self._weight, self._refused = minute, 0, 0

    def _ban(self, now_ms: int) -> None:
        lasts_s = min(FIRST_BAN_S * 2**self._bans, LONGEST_BAN_S)
        self._bans += 1
        self._banned_until_ms = now_ms + lasts_s * 1000

    def _banned(self, now_ms: int) -> Denied:
        until_ms = self._banned_until_ms
        text = (
            f"Way too much request weight used; IP banned until {until_ms}."
            " Please use WebSocket Streams for live updates to avoid bans."
        )
        retry_s = -(-(until_ms - now_ms) // 1000)
        return Denied(-1003, text, 418, {"Retry-After": str(retry_s)})
