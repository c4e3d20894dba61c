"""Signals: what a sender asked for, after its body was read and its instrument resolved."""

import hashlib
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.exit_set import NO_CHANGES, ExitChanges
from engine.model.instrument import Instrument


class Action(StrEnum):
    """What a signal asks for."""

    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"


class Outcome(StrEnum):
    """What became of a signal."""

    PENDING = "pending"
    OPENED = "opened"
    CLOSED = "closed"
    IGNORED = "ignored"
    REJECTED = "rejected"


class SizeKind(StrEnum):
    """How a signal states its size."""

    QTY = "qty"
    QUOTE_QTY = "quote_qty"
    PERCENT = "percent"
    RISK_PERCENT = "risk_percent"


class Size(Struct, frozen=True):
    """A size as the sender stated it: base quantity, quote notional, or a percentage."""

    kind: SizeKind
    value: Decimal


class Signal(Struct, frozen=True):
    """One accepted signal.

    Attributes:
        id: our id, random.
        source: who sent it (``webhook``, ``rest``, ``telegram``, or a named source).
        external_id: the sender's own id, or None.
        received_at_ns, sent_at_ns: UTC, nanoseconds since the epoch; ``sent_at_ns`` is the moment
            of sending as the sender stated it, or None.
        reference_price: what the sender saw, in quote asset; never a limit order.
        exits: what it says of exits; the default holds where a rule is not mentioned.
        raw: the body as received, without its secret.
    """

    id: str
    received_at_ns: int
    source: str
    action: Action
    instrument: Instrument
    external_id: str | None = None
    sent_at_ns: int | None = None
    size: Size | None = None
    reference_price: Decimal | None = None
    exits: ExitChanges = NO_CHANGES
    strategy: str | None = None
    comment: str | None = None
    raw: str = ""

    @property
    def effective_sent_ns(self) -> int:
        """When it was sent, as far as we know: the sender's time, else when it was received."""
        return self.received_at_ns if self.sent_at_ns is None else self.sent_at_ns


class SignalRecord(Struct, frozen=True):
    """A signal with what became of it."""

    signal: Signal
    outcome: Outcome = Outcome.PENDING
    reason: str | None = None
    position_id: str | None = None


def body_digest(raw: str) -> str:
    """Return the SHA-256 (hex) by which equal bodies are recognised."""
    return hashlib.sha256(raw.encode()).hexdigest()
