"""What is known of a Bybit account between two readings: positions, and the position modes."""

from collections.abc import Iterable, Sequence

from engine.model.events import VenuePosition
from engine.venues.bybit.account_requests import ONE_WAY
from engine.venues.bybit.parse import PositionRow
from engine.venues.bybit.parse_events import read_position


class Holdings:
    """Positions as last told, by symbol and leg, and whether each symbol has two legs.

    The mode is the symbol's: the venue lets it be switched by symbol or by coin.
    """

    def __init__(self) -> None:
        self._positions: dict[tuple[str, int], VenuePosition] = {}
        self._hedged: dict[str, bool] = {}

    def positions(self) -> Sequence[VenuePosition]:
        """What is open."""
        return tuple(self._positions.values())

    def replace(self, rows: Iterable[PositionRow]) -> None:
        """Take all that is open, as it was read."""
        self._positions.clear()
        for row in rows:
            self.note(row)

    def note(self, row: PositionRow) -> None:
        """Take one leg of one symbol."""
        self._hedged[row.symbol] = row.position_idx != ONE_WAY
        key = row.symbol, row.position_idx
        position = read_position(row)
        if position is None:
            self._positions.pop(key, None)
        else:
            self._positions[key] = position

    def is_hedged(self, symbol: str) -> bool | None:
        """Tell whether a symbol has two legs; None where it is not known."""
        return self._hedged.get(symbol)

    def forget_mode(self, symbol: str) -> None:
        """A symbol's mode is in doubt."""
        self._hedged.pop(symbol, None)
