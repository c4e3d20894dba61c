"""How often one address may be refused: token buckets, bounded in number."""

import ipaddress
from collections import OrderedDict

from msgspec import Struct

from engine.clock import NS_PER_SECOND
from engine.ports import Clock

MAX_ADDRESSES = 1024
_IPV6_SITE_BITS = 64


class _Bucket(Struct):
    tokens: float
    filled_ns: int


class Throttle:
    """A bucket of ``burst`` tokens an address, refilled by ``per_second``.

    The address seen longest ago is forgotten beyond ``MAX_ADDRESSES``. IPv6 addresses count by
    their /64, which is what one sender commands.
    """

    def __init__(self, clock: Clock, burst: int, per_second: float) -> None:
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str) -> bool:
        """Take one token; False when the address has none left."""
        bucket = self._bucket(_site(address))
        now_ns = self._clock.monotonic_ns()
        refill = (now_ns - bucket.filled_ns) / NS_PER_SECOND * self._per_second
        bucket.tokens = min(self._burst, bucket.tokens + refill)
        bucket.filled_ns = now_ns
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _bucket(self, key: str) -> _Bucket:
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = _Bucket(self._burst, self._clock.monotonic_ns())
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return found


def _site(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(parsed), _IPV6_SITE_BITS), strict=False))
    return str(parsed)
