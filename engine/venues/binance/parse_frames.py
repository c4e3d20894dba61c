"""The frames of Binance's user data, typed: the spot WebSocket API and USD-M's private stream.

Sources: spot documentation, "User Data Streams"; USD-M documentation, "User Data Streams". Names
are the venue's own letters. Only the fields that are read stand here.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw, Struct


class ExecutionReport(Struct, frozen=True):
    """An order of the spot market changed: ``x`` what happened, ``X`` where it stands.

    Attributes:
        c: client order id; of a cancellation that request's, and ``C`` the order's own.
        q, z: ordered and filled quantity, base asset. l, L: quantity and price of this execution.
        n, N: fee and its asset. t: trade id, -1 without an execution. T: ms. r: why refused.
    """

    s: str
    c: str
    S: str
    x: str
    X: str
    i: int
    q: Decimal
    z: Decimal
    l: Decimal  # noqa: E741 - the venue's name
    L: Decimal
    n: Decimal
    T: int
    t: int = -1
    N: str | None = None
    C: str = ""
    r: str = ""

    @property
    def own_id(self) -> str:
        """The client id that the order was placed under."""
        return self.C or self.c


class WalletRow(Struct, frozen=True):
    """An asset of the spot wallet: free and locked, in its own units."""

    a: str
    f: Decimal
    l: Decimal  # noqa: E741 - the venue's name


class AccountPosition(Struct, frozen=True):
    """Spot balances that changed (``outboundAccountPosition``)."""

    B: tuple[WalletRow, ...]


class UsdmOrder(Struct, frozen=True):
    """The order in ``ORDER_TRADE_UPDATE``; letters as in ``ExecutionReport``.

    Attributes:
        ps: BOTH, LONG or SHORT. ot: the type it was placed as.
    """

    s: str
    c: str
    S: str
    x: str
    X: str
    i: int
    q: Decimal
    z: Decimal
    l: Decimal  # noqa: E741 - the venue's name
    L: Decimal
    T: int
    t: int = 0
    n: Decimal | None = None
    N: str | None = None
    ps: str = "BOTH"
    ot: str = ""


class OrderTradeUpdate(Struct, frozen=True):
    """An order of USD-M changed."""

    o: UsdmOrder


class AlgoOrder(Struct, frozen=True):
    """The conditional order in ``ALGO_UPDATE``.

    Attributes:
        caid, aid: client's and venue's id. ai: id of the child order, empty before the trigger.
        rm: why it was refused or cancelled.
    """

    caid: str
    aid: int
    s: str
    X: str
    ai: str | int = ""
    rm: str = ""

    @property
    def child_id(self) -> int | None:
        """The id of the order that its trigger made."""
        text = str(self.ai)
        return int(text) if text.isdecimal() and int(text) else None


class AlgoUpdate(Struct, frozen=True):
    """A conditional order of USD-M changed."""

    o: AlgoOrder


class PositionChange(Struct, frozen=True):
    """A position in ``ACCOUNT_UPDATE``: signed amount, entry price, and BOTH, LONG or SHORT."""

    s: str
    pa: Decimal
    ep: Decimal
    ps: str = "BOTH"


class WalletChange(Struct, frozen=True):
    """An asset in ``ACCOUNT_UPDATE``: the new wallet balance."""

    a: str
    wb: Decimal


class AccountChange(Struct, frozen=True):
    """What changed, and why (``m``: ORDER, FUNDING_FEE, DEPOSIT, ...)."""

    m: str
    B: tuple[WalletChange, ...] = ()
    P: tuple[PositionChange, ...] = ()


class AccountUpdate(Struct, frozen=True):
    """Balances or positions of USD-M changed; funding tells the wallet only."""

    a: AccountChange


class Nothing(Struct, frozen=True):
    """A frame whose kind says all."""


Told = ExecutionReport | AccountPosition | OrderTradeUpdate | AlgoUpdate | AccountUpdate | Nothing

KINDS: Mapping[str, type[Told]] = {
    "executionReport": ExecutionReport,
    "outboundAccountPosition": AccountPosition,
    "eventStreamTerminated": Nothing,
    "serverShutdown": Nothing,
    "ORDER_TRADE_UPDATE": OrderTradeUpdate,
    "ALGO_UPDATE": AlgoUpdate,
    "ACCOUNT_UPDATE": AccountUpdate,
    "listenKeyExpired": Nothing,
}

UNUSED = frozenset(
    {
        "balanceUpdate",  # a deposit or transfer; the wallet is told by outboundAccountPosition
        "listStatus",  # of order lists, which we never place
        "externalLockUpdate",
        "TRADE_LITE",  # says less than ORDER_TRADE_UPDATE, earlier
        "MARGIN_CALL",
        "ACCOUNT_CONFIG_UPDATE",  # leverage, multi-assets mode; the position mode is not told
        "CONDITIONAL_ORDER_TRIGGER_REJECT",  # of conditional orders before December 2025
        "STRATEGY_UPDATE",
        "GRID_UPDATE",
    }
)
"""Kinds of user data that say nothing that is needed."""


class Failure(Struct, frozen=True):
    """The error of the WebSocket API, as that of REST."""

    code: int = 0
    msg: str = ""


class Frame(Struct, frozen=True):
    """Any frame: an answer to a request, an event of a subscription, or a bare event."""

    e: str = ""
    event: Raw = Raw(b"")
    id: Any = None
    status: int = 0
    error: Failure | None = None


class _Kind(Struct, frozen=True):
    e: str = ""


_FRAMES = msgspec.json.Decoder(Frame)
_KINDS = msgspec.json.Decoder(_Kind)
_DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in KINDS.items()}


def read_frame(frame: bytes) -> tuple[Frame, str, Told | None]:
    """Read a frame; returns its envelope, the kind of its event and the event.

    The kind is empty for an answer; the event is None for kinds that are not used.

    Raises:
        msgspec.MsgspecError: not JSON, or an event of a kind that we read in another shape.
    """
    envelope = _FRAMES.decode(frame)
    body = bytes(envelope.event) or frame
    kind = envelope.e or _KINDS.decode(body).e
    decoder = _DECODERS.get(kind)
    return envelope, kind, decoder.decode(body) if decoder else None
