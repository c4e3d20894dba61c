"""The control side of the simulated accounts: their books, and what outside does to them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import FillKind, OrderSide
from engine.simulator.control_request import BadRequest, one_of, parsed_price
from engine.simulator.desk import Desk
from engine.simulator.filters import Refused
from engine.simulator.key_changes import KeyChanges

ACTIONS = (
    "trade",
    "liquidate",
    "fund",
    "hedge_mode",
    "permissions",
    "deposit",
    "partial_fills",
    "fee_asset",
)
FIELDS = {
    *("venue", "market", "action", "symbol", "side", "qty", "price", "leg", "client_order_id"),
    *("rate", "hedged", "key", "asset", "amount", "on", "kind"),
}


KINDS = (FillKind.TRADE, FillKind.ADL)


class KeyHolder(Protocol):
    """A venue's side that keeps its key."""

    def change_key(self, changes: KeyChanges) -> dict[str, Any]:
        """Change the key; returns what the venue tells of it now."""


class AccountControl:
    """Shows and changes the accounts of the venues."""

    def __init__(
        self, desks: Mapping[tuple[str, Market], Desk], keys: Mapping[str, KeyHolder]
    ) -> None:
        self._desks = desks
        self._keys = keys

    # Look

    def show(self, venue: str | None, market: str | None) -> dict[str, Any]:
        """Return the books of all wallets, or of the one that is named."""
        if venue is None:
            wallets = {id(desk): desk for desk in self._desks.values()}
            return {"accounts": [self._books(desk) for desk in wallets.values()]}
        return self._books(self._desk({"venue": venue, "market": market or Market.SPOT}))

    def _books(self, desk: Desk) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.to_builtins(desk.snapshot(), enc_hook=str)
        return shown

    # Change

    def act(self, body: dict[str, Any]) -> dict[str, Any]:
        """Carry out an action.

        Raises:
            BadRequest: it cannot be carried out.
        """
        action = one_of("action", body.get("action"), ACTIONS)
        if action is None:
            raise BadRequest("action", f"give one of {', '.join(ACTIONS)}")
        if action == "permissions":
            return self._change_key(body)
        desk = self._desk(body)
        try:
            return self._carry_out(action, desk, body)
        except Refused as refused:
            raise BadRequest("action", str(refused)) from None

    def _carry_out(self, action: str, desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
        if action == "trade":
            return self._trade(desk, body)
        if action == "liquidate":
            instrument = self._instrument(desk, body)
            fills = desk.liquidate(instrument.id, _leg(body))
            return {"fills": msgspec.to_builtins(fills, enc_hook=str)}
        if action == "fund":
            instrument = self._instrument(desk, body)
            paid = desk.settle_funding(instrument.id, _signed("rate", body.get("rate")))
            return {"settlements": msgspec.to_builtins(paid, enc_hook=str)}
        if action == "hedge_mode":
            desk.set_hedged(_flag("hedged", body))
            return {"hedged": desk.hedged}
        if action == "partial_fills":
            desk.set_partial(_flag("on", body))
            return {"on": body["on"]}
        if action == "fee_asset":
            rate = parsed_price("rate", body.get("rate", 1))
            desk.pay_fees_in(body.get("asset"), rate)
            return {"asset": body.get("asset"), "rate": str(rate)}
        return self._deposit(desk, body)

    def _trade(self, desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
        instrument = self._instrument(desk, body)
        side = one_of("side", body.get("side"), tuple(OrderSide))
        if side is None:
            raise BadRequest("side", "give buy or sell")
        price = parsed_price("price", body["price"]) if body.get("price") is not None else None
        fill = desk.trade_by_hand(
            instrument,
            OrderSide(side),
            parsed_price("qty", body.get("qty")),
            price,
            _leg(body),
            str(body.get("client_order_id") or ""),
            FillKind(one_of("kind", body.get("kind"), KINDS) or FillKind.TRADE),
        )
        shown: dict[str, Any] = msgspec.to_builtins(fill, enc_hook=str)
        return {"fill": shown}

    def _deposit(self, desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
        asset, amount = str(body.get("asset") or ""), _signed("amount", body.get("amount"))
        if not asset or amount is None:
            raise BadRequest("amount", "give an asset and a decimal, negative to take it out")
        desk.deposit(asset, amount)
        return {"asset": asset, "amount": str(amount)}

    def _change_key(self, body: dict[str, Any]) -> dict[str, Any]:
        venue = one_of("venue", body.get("venue"), tuple(self._keys))
        if venue is None:
            raise BadRequest("venue", f"give one of {', '.join(self._keys)}")
        try:
            changes = msgspec.convert(body.get("key") or {}, KeyChanges)
        except msgspec.ValidationError as error:
            names = ", ".join(KeyChanges.__struct_fields__)
            raise BadRequest("key", f"give an object of booleans: {names} ({error})") from None
        return {"key": self._keys[venue].change_key(changes)}

    def _desk(self, body: dict[str, Any]) -> Desk:
        venues = tuple(dict.fromkeys(venue for venue, _ in self._desks))
        venue = one_of("venue", body.get("venue"), venues)
        if venue is None:
            raise BadRequest("venue", f"give one of {', '.join(venues)}")
        market = one_of("market", body.get("market"), tuple(str(each) for each in Market))
        if market is None:
            raise BadRequest("market", "give spot or linear")
        return self._desks[venue, Market(market)]

    def _instrument(self, desk: Desk, body: dict[str, Any]) -> Instrument:
        symbol, market = str(body.get("symbol") or "").upper(), Market(body["market"])
        found = desk.instrument(InstrumentId(desk.venue, market, symbol))
        if found is None:
            raise BadRequest("symbol", f"{symbol or 'it'} is not in the simulator's lists")
        return found


def _leg(body: dict[str, Any]) -> Side | None:
    word = one_of("leg", body.get("leg"), tuple(Side))
    return None if word is None else Side(word)


def _flag(field: str, body: dict[str, Any]) -> bool:
    value = body.get(field)
    if not isinstance(value, bool):
        raise BadRequest(field, "give true or false")
    return value


def _signed(field: str, value: object) -> Decimal | None:
    """Read a decimal of either sign; None where there is none."""
    if value is None:
        return None
    number = parsed_price(field, str(value).removeprefix("-"))
    return -number if str(value).startswith("-") else number
