"""nautilus_trader: its OrderEmulator with a stop and a take-profit a position, fed with trades.

A position is two emulated orders that wait for the last price: a STOP_MARKET below and a
MARKET_IF_TOUCHED above. They are submitted to the emulator as its risk engine does, and a trade
goes straight to the emulator's handler, as its message bus would hand it on. What it releases goes
to the endpoint of the execution engine, which counts.
"""

from collections.abc import Sequence

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.emulator import OrderEmulator
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AggressorSide, OrderSide, TriggerType
from nautilus_trader.model.identifiers import (
    InstrumentId,
    StrategyId,
    Symbol,
    TradeId,
    TraderId,
    Venue,
)
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.portfolio.portfolio import Portfolio
from quiet import Pass, measure
from tally import arguments

PERPETUAL = InstrumentId(Symbol("BTCUSDT-PERP"), Venue("BINANCE"))
QTY = Quantity.from_str("0.001")
INSTRUMENT = CryptoPerpetual(
    instrument_id=PERPETUAL,
    raw_symbol=Symbol("BTCUSDT"),
    base_currency=BTC,
    quote_currency=USDT,
    settlement_currency=USDT,
    is_inverse=False,
    price_precision=1,
    size_precision=3,
    price_increment=Price.from_str("0.1"),
    size_increment=QTY,
    ts_event=0,
    ts_init=0,
)


class Bench:
    """An emulator with what it is made of, and a count of the orders that it released."""

    def __init__(self) -> None:
        clock, trader = TestClock(), TraderId("BENCH-001")
        self.released = 0
        self._strategy = StrategyId("BENCH-1")
        self._trader = trader
        self._cache = Cache()
        self._cache.add_instrument(INSTRUMENT)
        bus = MessageBus(trader_id=trader, clock=clock)
        for endpoint in (
            "DataEngine.execute",
            "ExecEngine.process",
            "RiskEngine.execute",
            "RiskEngine.process",
        ):
            bus.register(endpoint, lambda _message: None)
        bus.register("ExecEngine.execute", self._release)
        portfolio = Portfolio(msgbus=bus, cache=self._cache, clock=clock)
        self.emulator = OrderEmulator(
            portfolio=portfolio, msgbus=bus, cache=self._cache, clock=clock
        )
        self.emulator.start()
        self.orders = OrderFactory(
            trader_id=trader, strategy_id=self._strategy, clock=clock, cache=self._cache
        )

    def guard(self, take_profit: float, stop_loss: float) -> None:
        """Emulate both orders of one long."""
        common = {"emulation_trigger": TriggerType.LAST_PRICE, "reduce_only": True}
        level = INSTRUMENT.make_price
        below = self.orders.stop_market(
            PERPETUAL, OrderSide.SELL, QTY, trigger_price=level(stop_loss), **common
        )
        above = self.orders.market_if_touched(
            PERPETUAL, OrderSide.SELL, QTY, trigger_price=level(take_profit), **common
        )
        for order in (below, above):
            self._submit(order)

    def _submit(self, order: Order) -> None:
        self._cache.add_order(order, None, None)
        self.emulator.execute(
            SubmitOrder(
                trader_id=self._trader,
                strategy_id=self._strategy,
                order=order,
                position_id=None,
                client_id=None,
                command_id=UUID4(),
                ts_init=0,
            )
        )

    def _release(self, _command: object) -> None:
        self.released += 1


def trade(number: int, price: float) -> TradeTick:
    """A trade at ``price``."""
    made = INSTRUMENT.make_price(price)
    return TradeTick(PERPETUAL, made, QTY, AggressorSide.BUYER, TradeId(str(number)), 0, 0)


def build(
    take_profits: Sequence[float], stop_losses: Sequence[float], prices: Sequence[float]
) -> Pass:
    """Make a pass over trades that are made beforehand."""
    bench = Bench()
    for levels in zip(take_profits, stop_losses, strict=True):
        bench.guard(*levels)
    held = len(bench.emulator.get_matching_core(PERPETUAL).get_orders())
    if held != 2 * len(take_profits):
        raise SystemExit(f"{held} orders are emulated, not two for each of {len(take_profits)}")
    trades = [trade(number, price) for number, price in enumerate(prices)]
    take = bench.emulator.on_trade_tick

    def go() -> int:
        before = bench.released
        for tick in trades:
            take(tick)
        return bench.released - before

    return go


if __name__ == "__main__":
    measure(arguments(), build)
