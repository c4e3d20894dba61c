"""What is kept of the venues' accounts between two reports."""

from engine.core.accounts import SETTLING_NS, Accounts, holdings
from engine.model.money import ONE
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP


def test_a_spot_order_changes_two_balances_and_a_linear_one_its_position() -> None:
    assert holdings(BTC_SPOT) == (("bybit", "BTC"), ("bybit", "USDT"))
    assert holdings(BTC_PERP) == (("bybit", "bybit:linear:BTCUSDT"),)


def test_an_account_read_soon_after_an_execution_may_lack_it() -> None:
    accounts = Accounts()
    accounts.note_moved(BTC_PERP, 7)
    assert accounts.has_moved(BTC_PERP, 7 + SETTLING_NS)
    assert not accounts.has_moved(BTC_PERP, 8 + SETTLING_NS)
    assert not accounts.has_moved(ETH_PERP, 0)


def test_forgetting_an_instrument_leaves_the_others() -> None:
    accounts = Accounts()
    for instrument in (BTC_PERP.id, ETH_PERP.id):
        accounts.based.add(instrument)
        accounts.unsure.add(instrument)
        accounts.held_back[instrument] = []
        accounts.seen[instrument] = ONE
        accounts.differences[instrument] = 1
    accounts.forget(BTC_PERP.id)
    assert accounts.instruments() == {ETH_PERP.id}
