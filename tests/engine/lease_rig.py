"""A lease in memory, and a clock whose two times move apart."""

from engine.model.errors import Fenced, Held, Retryable
from engine.ports import Grant
from tests.engine.core.rig import SECOND, T0

SETTLE_NS = 10 * SECOND


class MemoryLease:
    """``engine.ports.Lease`` that can be told to fail; ``renewals`` are the times told to it."""

    def __init__(self) -> None:
        self.holder = ""
        self.epoch = 0
        self.until_ns = 0
        self.lease_ns = 0
        self.renewals: list[int] = []
        self.tries = 0
        self.failing = False

    def acquire(self, holder: str, at_ns: int, lease_ns: int) -> Grant:
        if self.failing:
            raise Retryable("no answer")
        others = self.holder not in ("", holder)
        if others and at_ns < self.until_ns:
            raise Held(f"held by {self.holder} until {self.until_ns}")
        self.holder, self.until_ns, self.lease_ns = holder, at_ns + lease_ns, lease_ns
        self.epoch += 1
        return Grant(self.epoch, lease_ns + SETTLE_NS if others else 0)

    def renew(self, epoch: int, at_ns: int) -> None:
        self.tries += 1
        if self.failing:
            raise Retryable("no answer")
        if epoch != self.epoch:
            raise Fenced("another one has taken over")
        self.renewals.append(at_ns)
        self.until_ns = at_ns + self.lease_ns

    def release(self, epoch: int) -> None:
        if epoch == self.epoch:
            self.holder = ""


class TwoClocks:
    """UTC and monotonic time that only tests move."""

    def __init__(self) -> None:
        self.utc_ns = T0
        self.passed_ns = 77 * SECOND

    def now_ns(self) -> int:
        return self.utc_ns

    def monotonic_ns(self) -> int:
        return self.passed_ns

    def pass_s(self, seconds: float) -> None:
        self.utc_ns += int(seconds * SECOND)
        self.passed_ns += int(seconds * SECOND)

    def set_utc_by_s(self, seconds: float) -> None:
        self.utc_ns += int(seconds * SECOND)
