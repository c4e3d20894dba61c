"""Ids: random 128-bit values given by the shell, and client order ids derived from them.

A client order id is the position id (26 characters of base32), one letter for the purpose and the
generation in decimal: at most 32 characters of ``[A-Za-z0-9]``, within what every venue takes
(Bybit 36, Binance 36, OKX 32). Being derivable, it can be asked for after a crash that lost it.
"""

import base64
import re
from enum import StrEnum

ID_BYTES = 16
ID_LENGTH = 26
MAX_GENERATION = 99_999

_CLIENT_ORDER_ID = re.compile(r"([a-z2-7]{26})([eaxb])(0|[1-9][0-9]{0,4})")


class Purpose(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    ADD = "add"
    EXIT = "exit"
    BACKSTOP = "backstop"


_LETTERS = {Purpose.ENTRY: "e", Purpose.ADD: "a", Purpose.EXIT: "x", Purpose.BACKSTOP: "b"}
_PURPOSES = {letter: purpose for purpose, letter in _LETTERS.items()}


def encode_id(raw: bytes) -> str:
    """Write 16 random bytes as 26 lower-case base32 characters.

    Raises:
        ValueError: not 16 bytes.
    """
    if len(raw) != ID_BYTES:
        raise ValueError(f"an id is {ID_BYTES} bytes, not {len(raw)}")
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def client_order_id(position_id: str, purpose: Purpose, generation: int) -> str:
    """Derive the client order id of one order of a position.

    Raises:
        ValueError: a generation outside 0..99,999.
    """
    if not 0 <= generation <= MAX_GENERATION:
        raise ValueError(f"generation {generation} is outside 0..{MAX_GENERATION}")
    return f"{position_id}{_LETTERS[purpose]}{generation}"


def parse_client_order_id(text: str) -> tuple[str, Purpose, int] | None:
    """Split a client order id into position id, purpose and generation; None if it is not ours."""
    match = _CLIENT_ORDER_ID.fullmatch(text)
    if match is None:
        return None
    return match[1], _PURPOSES[match[2]], int(match[3])
