"""From a JSON object to a validated draft of a signal: exactly the contract's fields, all checked.

Every wrong field is found before anything is raised, so that a sender corrects them in one go.
"""

from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from msgspec import Struct

from api.webhook.amounts import MAX_AHEAD_NS, read_moment
from api.webhook.exit_fields import EXIT_FIELDS, read_exits
from api.webhook.read import NumberText
from api.webhook.reader import Reader
from engine.model.exit_set import NO_CHANGES, ExitChanges
from engine.model.instrument import Market
from engine.model.money import HUNDRED
from engine.model.signal import Action, Size, SizeKind

SECRET = "secret"  # noqa: S105 - the field's name
FIELDS = (
    *(SECRET, "id", "action", "venue", "market", "symbol"),
    *SizeKind,
    "price",
    *EXIT_FIELDS,
    *("strategy", "time", "comment"),
)
MAX_LENGTHS = {"id": 200, "symbol": 64, "venue": 32, "strategy": 100, "comment": 1000}
MAX_FIELDS = 40


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


def read_draft(body: Mapping[str, Any], now_ns: int, zone: tzinfo) -> Draft:
    """Validate the fields of a webhook's body.

    Args:
        now_ns: UTC; an entry sent later than this by more than ``MAX_AHEAD_NS`` is refused.
        zone: the owner's, for ``close_at``.

    Raises:
        Problem: 422 with every wrong field and its remedy.
    """
    reader = SignalReader(body)
    reader.refuse_unknown(FIELDS)
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
        exits=read_exits(reader, now_ns, zone),
        strategy=reader.text("strategy"),
        comment=reader.text("comment"),
    )
    reader.raise_errors()
    return draft


class SignalReader(Reader):
    """Reads the fields that only signals have."""

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Read a text; a number counts as one only for ``id``. Empty is absent."""
        value = self.get(name)
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

    def moment(self, name: str, action: Action | None, now_ns: int) -> int | None:
        """Read the time of sending. Only a close may come from the future: it does no harm."""
        at_ns = self.read(name, read_moment)
        if at_ns is not None and action is not Action.CLOSE and at_ns > now_ns + MAX_AHEAD_NS:
            self.refuse(name, "it lies more than 5 minutes ahead; set the sender's clock")
        return at_ns

    def size(self) -> Size | None:
        """Read the one size field there may be."""
        given = [kind for kind in SizeKind if self.get(kind) is not None]
        for kind in given if len(given) > 1 else ():
            self.refuse(kind, f"give only one of {', '.join(given)}")
        values = {kind: self.positive(kind) for kind in given}
        for kind in (SizeKind.PERCENT, SizeKind.RISK_PERCENT):
            percent = values.get(kind)
            if percent is not None and percent > HUNDRED:
                self.refuse(kind, "give more than 0 and at most 100, in per cent")
        sizes = [Size(kind, value) for kind, value in values.items() if value is not None]
        return sizes[0] if sizes else None
