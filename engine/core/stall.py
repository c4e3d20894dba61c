"""A process that stood still: nothing was seen and nothing was sent for so long."""

from engine.core.state import State

STALL_NS = 2_000_000_000
TELL_STALL_NS = 5_000_000_000


def tell_stall(state: State, late_ns: int) -> None:
    """Note a clock that came ``late_ns`` late, and tell the owner of a long stall.

    That prices are stale by then is for the feeds to say, each by its own clock.
    """
    if late_ns <= STALL_NS:
        return
    late_ms = late_ns // 1_000_000
    state.log("loop.stalled", late_ms=late_ms)
    if late_ns > TELL_STALL_NS:
        state.notify("guard.stalled", late_ms=late_ms)
