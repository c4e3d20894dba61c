"""Margin mode and leverage before our first entry on a linear instrument, both read back.

Source: the v5 documentation, "Set Margin Mode" (of the whole account) and "Set Leverage".
"""

from collections.abc import Sequence
from typing import Literal

from engine.model.instrument import Instrument
from engine.venues.account import Outcome, RequestFailed, Urgency, Verdict
from engine.venues.bybit.account_facts import MARGIN_MODES
from engine.venues.bybit.account_reading import Reading
from engine.venues.bybit.account_requests import named
from engine.venues.bybit.client import BybitClient
from engine.venues.bybit.client_budgets import ACCOUNT, LEVERAGE, MARGIN_MODE
from engine.venues.bybit.codes import UNCHANGED
from engine.venues.bybit.parse import AccountInfo, PositionRow
from engine.venues.bybit.parse_events import number

NAMES = {ours: theirs for theirs, ours in MARGIN_MODES.items()}


async def prepare(
    client: BybitClient,
    reading: Reading,
    instrument: Instrument,
    leverage: int,
    margin_mode: Literal["isolated", "cross"] | None,
) -> None:
    """Set what differs; nothing of ours is open on the instrument, and nothing of others.

    Raises:
        RequestFailed: refused, not answered, or not as asked for afterwards.
    """
    if margin_mode is not None:
        await _set_margin_mode(client, reading, margin_mode)
    legs = await reading.legs(instrument.id.symbol, Urgency.ORDER)
    if _is_levered(legs, leverage):
        return
    body = named(instrument) | {"buyLeverage": str(leverage), "sellLeverage": str(leverage)}
    try:
        await client.ask(LEVERAGE, body, Urgency.ORDER)
    except RequestFailed as error:
        if error.code not in UNCHANGED:
            raise
    if not _is_levered(await reading.legs(instrument.id.symbol, Urgency.ORDER), leverage):
        raise _not_so(f"the leverage of {instrument.id} is not {leverage}")


def _is_levered(legs: Sequence[PositionRow], leverage: int) -> bool:
    return bool(legs) and all(number(leg.leverage) == leverage for leg in legs)


async def _set_margin_mode(client: BybitClient, reading: Reading, wanted: str) -> None:
    if await _margin_mode(client) == wanted:
        return
    # It is the whole account's: what is open elsewhere would be changed too.
    if any(number(row.size) for row in await reading.positions()):
        raise _not_so(
            f"the account's margin mode is not {wanted} and positions are open: close them, or "
            f"leave MARGIN_MODE out"
        )
    await client.ask(MARGIN_MODE, {"setMarginMode": NAMES[wanted]}, Urgency.ORDER)
    if await _margin_mode(client) != wanted:
        raise _not_so(f"the account's margin mode is not {wanted}")


async def _margin_mode(client: BybitClient) -> str | None:
    account: AccountInfo = await client.ask(ACCOUNT, {}, Urgency.ORDER)
    return MARGIN_MODES.get(account.margin_mode)


def _not_so(message: str) -> RequestFailed:
    return RequestFailed(Verdict(Outcome.REJECTED), message)
