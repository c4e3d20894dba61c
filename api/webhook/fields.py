"""From a JSON object to a validated draft of a signal: exactly the contract's fields, all checked.

Every wrong field is found before anything is raised, so that a sender corrects them in one go.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from api.problems import FieldError, shown, unknown_field, unprocessable
from api.webhook.amounts import MAX_AHEAD_NS, read_moment, read_number
from api.webhook.read import NumberText
from engine.model.exit_set import NO_CHANGES, ExitChanges
from engine.model.exits import AtPrice, Disarmed, Limit, Percent
from engine.model.instrument import Market
from engine.model.money import HUNDRED, ZERO
from engine.model.signal import Action, Size, SizeKind

SECRET = "secret"  # noqa: S105 - the field's name
NOT_BUILT = {
    "trailing_percent": "trailing stops",
    "trailing_activation_percent": "trailing stops",
    "break_even_percent": "the break-even move",
    "ladder": "take-profit ladders",
    "max_hold_seconds": "the time stop",
}
FIELDS = (
    *(SECRET, "id", "action", "venue", "market", "symbol"),
    *SizeKind,
    *("price", "take_profit_percent", "stop_loss_percent", "take_profit", "stop_loss"),
    *NOT_BUILT,
    *("strategy", "time", "comment"),
)
MAX_LENGTHS = {"id": 200, "symbol": 64, "venue": 32, "strategy": 100, "comment": 1000}
MAX_FIELDS = 40
MAX_LIMIT_PERCENT = Decimal(1000)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Draft(Struct, frozen=True):
    """A signal as its sender wrote it, valid in itself; its instrument is not resolved yet.

    Attributes:
        symbol, venue: upper and lower case; ``venue`` and ``market`` are None where not given.
        exits: what it says of exits; a rule that is not mentioned takes the default.
    """

    action: Action
    symbol: str
    venue: str | None = None
    market: Market | None = None
    external_id: str | None = None
    sent_at_ns: int | None = None
    size: Size | None = None
    reference_price: Decimal | None = None
    exits: ExitChanges = NO_CHANGES
    strategy: str | None = None
    comment: str | None = None


def read_draft(body: Mapping[str, Any], now_ns: int) -> Draft:
    """Validate the fields of a webhook's body.

    Args:
        now_ns: UTC; an entry sent later than this by more than ``MAX_AHEAD_NS`` is refused.

    Raises:
        Problem: 422 with every wrong field and its remedy.
    """
    reader = _Reader(body)
    reader.refuse_unknown()
    action = reader.choice("action", Action, required=True)
    symbol = reader.text("symbol", required=True)
    venue = reader.text("venue")
    draft = Draft(
        action=action or Action.CLOSE,
        symbol=(symbol or "").upper(),
        venue=venue.lower() if venue else None,
        market=reader.choice("market", Market),
        external_id=reader.text("id"),
        sent_at_ns=reader.moment("time", action, now_ns),
        size=reader.size(),
        reference_price=reader.positive("price"),
        exits=ExitChanges(
            take_profit=reader.limit("take_profit"), stop_loss=reader.limit("stop_loss")
        ),
        strategy=reader.text("strategy"),
        comment=reader.text("comment"),
    )
    if reader.errors:
        raise unprocessable(reader.errors)
    return draft


def check_exits(draft: Draft, market: Market) -> None:
    """Refuse limits of an entry that cannot both hold, or could never be reached.

    Limits on a signal that only closes mean nothing and are left alone.

    Raises:
        Problem: 422.
    """
    is_long = draft.action is Action.BUY
    if draft.action is Action.CLOSE or (market is Market.SPOT and not is_long):
        return
    profit, stop = draft.exits.take_profit, draft.exits.stop_loss
    errors = []
    falls_to, name = (stop, "stop_loss_percent") if is_long else (profit, "take_profit_percent")
    if isinstance(falls_to, Percent) and falls_to.value >= HUNDRED:
        errors.append(FieldError(name, "a price cannot fall by 100 % or more; give less"))
    if isinstance(profit, AtPrice) and isinstance(stop, AtPrice):
        gap = profit.value - stop.value
        if (gap if is_long else -gap) <= ZERO:
            side, word = ("buy", "above") if is_long else ("sell", "below")
            errors.append(FieldError("take_profit", f"of a {side} it must lie {word} stop_loss"))
    wants_stop = draft.size is not None and draft.size.kind is SizeKind.RISK_PERCENT
    if wants_stop and isinstance(stop, Disarmed):
        errors.append(FieldError("risk_percent", "it needs a stop-loss; do not disarm it"))
    if errors:
        raise unprocessable(errors)


class _Reader:
    """Reads fields one by one and gathers what is wrong. Null is absent, except for limits."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self.errors: list[FieldError] = []

    def refuse(self, field: str, remedy: str) -> None:
        self.errors.append(FieldError(field, remedy))

    def refuse_unknown(self) -> None:
        for name, value in self._body.items():
            if name in NOT_BUILT:
                if not _is_off(value):
                    self.refuse(name, f"not built yet: {NOT_BUILT[name]}; leave the field out")
            elif name not in FIELDS:
                self.errors.append(unknown_field(name, FIELDS))

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Read a text; a number counts as one only for ``id``. Empty is absent."""
        value = self._body.get(name)
        if isinstance(value, NumberText) and name != "id":
            value = 0  # any value that is no text
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                self.refuse(name, "this field is required")
            return None
        if not isinstance(value, str):
            self.refuse(name, "give a text in quotes")
            return None
        text = value.strip()
        if len(text) > MAX_LENGTHS[name]:
            self.refuse(name, f"give at most {MAX_LENGTHS[name]} characters")
        elif "\0" in text or (name != "comment" and not text.isprintable()):
            self.refuse(name, "leave control characters out")
        return text

    def choice(self, name: str, kind: type[E], *, required: bool = False) -> E | None:
        """Read one of an enum's words, whatever its case."""
        value = self._body.get(name)
        if value is None and not required:
            return None
        try:
            return kind(value.strip().lower() if isinstance(value, str) else "")
        except ValueError:
            found = "it is missing" if value is None else f"{shown(value)} is unknown"
            self.refuse(name, f"{found}; give one of {', '.join(kind)}")
            return None

    def moment(self, name: str, action: Action | None, now_ns: int) -> int | None:
        """Read the time of sending. Only a close may come from the future: it does no harm."""
        at_ns = self._read(name, read_moment)
        if at_ns is not None and action is not Action.CLOSE and at_ns > now_ns + MAX_AHEAD_NS:
            self.refuse(name, "it lies more than 5 minutes ahead; set the sender's clock")
        return at_ns

    def size(self) -> Size | None:
        """Read the one size field there may be."""
        given = [kind for kind in SizeKind if self._body.get(kind) is not None]
        for kind in given if len(given) > 1 else ():
            self.refuse(kind, f"give only one of {', '.join(given)}")
        values = {kind: self.positive(kind) for kind in given}
        for kind in (SizeKind.PERCENT, SizeKind.RISK_PERCENT):
            percent = values.get(kind)
            if percent is not None and percent > HUNDRED:
                self.refuse(kind, "give more than 0 and at most 100, in per cent")
        sizes = [Size(kind, value) for kind, value in values.items() if value is not None]
        return sizes[0] if sizes else None

    def positive(self, name: str) -> Decimal | None:
        number = self._read(name, read_number)
        if number is not None and number <= ZERO:
            self.refuse(name, "give a number above 0")
            return None
        return number

    def limit(self, name: str) -> Limit | None:
        """Read ``name`` (a price) or ``name_percent``; 0 and null disarm, absent is None."""
        by_percent = f"{name}_percent"
        given = [field for field in (name, by_percent) if field in self._body]
        limits = [
            self._limit(field, Percent if field == by_percent else AtPrice) for field in given
        ]
        if len(limits) == 2 and not all(isinstance(limit, Disarmed) for limit in limits):
            self.refuse(by_percent, f"give {name} or {by_percent}, not both")
        return limits[0] if limits else None

    def _limit(self, name: str, kind: type[Percent] | type[AtPrice]) -> Limit:
        number = self._read(name, read_number)
        if number is None or number == ZERO:
            return Disarmed()
        if number < ZERO:
            self.refuse(name, "give a number above 0; 0 or null is no limit")
        elif kind is Percent and number > MAX_LIMIT_PERCENT:
            self.refuse(name, f"give at most {MAX_LIMIT_PERCENT}, in per cent")
        return kind(number)

    def _read(self, name: str, read: Callable[[object], T]) -> T | None:
        value = self._body.get(name)
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            self.refuse(name, str(error))
            return None


def _is_off(value: object) -> bool:
    """Tell whether a value switches a feature off, which is how it stands anyway."""
    if value is None:
        return True
    try:
        return read_number(value) == ZERO
    except ValueError:
        return False
