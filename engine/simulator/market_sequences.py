"""Rising ids of one instrument: recorded ones keep their steps, and never fall back."""

SHARED_SLACK = 1_000_000
"""Distance left at a seam, so that channels lagging behind each other still rise."""


class Steps:
    """Numbers of one channel. Recorded steps are kept; a break continues with the next number.

    A loop seam or a scripted stretch must not look like lost frames, so the first recorded number
    after a break is the last one plus 1, however far the recording went on meanwhile.
    """

    def __init__(self, start: int) -> None:
        self.last = start
        self._issued = False
        self._recorded: int | None = None

    def fresh(self) -> int:
        """Return the next number for a frame that no recording has."""
        self._issued = True
        self._recorded = None
        self.last += 1
        return self.last

    def follow(self, recorded: int) -> int:
        """Return the number that stands for a recorded one."""
        if not self._issued:
            self.last = recorded
        elif self._recorded is None:
            self.last += 1
        else:
            self.last += max(recorded - self._recorded, 1)
        self._issued = True
        self._recorded = recorded
        return self.last

    def cut(self) -> None:
        """Forget where the recording stood: it starts again, or was silent for a while."""
        self._recorded = None


class SharedSequence:
    """A sequence that several channels of an instrument draw from, rising but with holes."""

    def __init__(self, start: int) -> None:
        self.last = start
        self._issued = False
        self._offset: int | None = None

    def fresh(self) -> int:
        self._issued = True
        self._offset = None
        self.last += 1
        return self.last

    def follow(self, recorded: int) -> int:
        if self._offset is None:
            self._offset = self.last + SHARED_SLACK - recorded if self._issued else 0
        self._issued = True
        value = recorded + self._offset
        self.last = max(self.last, value)
        return value

    def cut(self) -> None:
        self._offset = None


class Sequences:
    """All rising numbers of one instrument."""

    def __init__(self) -> None:
        self.trade = Steps(1_000_000)
        self.aggregate = Steps(400_000)
        self.book = Steps(5_000_000)
        self.shared = SharedSequence(100_000_000)
        self._times_ms: dict[str, int] = {}

    def rising_ms(self, channel: str, at_ms: int) -> int:
        """Return a venue time that is not before the last one of the channel."""
        rising = max(at_ms, self._times_ms.get(channel, 0))
        self._times_ms[channel] = rising
        return rising

    def cut(self) -> None:
        """Mark a break in the recording."""
        self.trade.cut()
        self.book.cut()
        self.shared.cut()
