"""Bybit's ticker fields: recorded ones merged, the others kept from generated events.

Linear: a snapshot on subscribe, then deltas of the fields that changed. Spot: always all fields,
without touch or mark. Source: the v5 documentation of the ticker channel.
"""

from decimal import Decimal

from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.simulator.dialects.bybit_frames import encode
from engine.simulator.market import next_funding_ms
from engine.simulator.market_events import Mark, Origin, Prints, Quote, Ticker

OPEN_INTEREST = Decimal(10000)
"""Contracts said to be open, in base asset: a constant."""


class TickerFields:
    """The ticker of one instrument. ``changed`` are the fields not yet sent as a delta."""

    def __init__(self, instrument: InstrumentId) -> None:
        self.instrument = instrument
        self.fields: dict[str, str] = {}
        self.changed: dict[str, str] = {}
        self.origin = Origin.SCRIPTED
        self.seq = 0

    @property
    def linear(self) -> bool:
        return self.instrument.market is Market.LINEAR

    def merge(self, ticker: Ticker) -> None:
        """Take recorded fields in."""
        self.fields = ticker.fields | {} if ticker.full else self.fields | ticker.fields
        self.changed = {}
        self.origin, self.seq = ticker.origin, ticker.seq

    def take_prints(self, event: Prints) -> None:
        """Take generated trades in: last price and the day's figures."""
        for print_ in event.prints:
            if "lastPrice" not in self.fields:
                self._open(print_.price, event.sent_ms)
            self.seq = print_.seq
            price, qty = Decimal(print_.price), Decimal(print_.qty)
            self._set("lastPrice", print_.price)
            self._extreme("highPrice24h", print_.price, above=True)
            self._extreme("lowPrice24h", print_.price, above=False)
            self._add("volume24h", qty)
            self._add("turnover24h", qty * price)
            start = Decimal(self.fields["prevPrice24h"] or "1")
            self._set("price24hPcnt", format((price / start - 1).quantize(Decimal("1E-6")), "f"))
            if not self.linear:
                self._set("usdIndexPrice", print_.price)
        self.origin = event.origin

    def take_quote(self, quote: Quote) -> None:
        """Take a generated touch in (linear only)."""
        if self.linear:
            self._set("bid1Price", quote.bid)
            self._set("bid1Size", quote.bid_qty)
            self._set("ask1Price", quote.ask)
            self._set("ask1Size", quote.ask_qty)
            self.origin, self.seq = quote.origin, quote.seq

    def take_mark(self, mark: Mark) -> None:
        """Take a generated mark in."""
        self._set("markPrice", mark.mark)
        self._set("indexPrice", mark.index)
        self._set("fundingRate", mark.funding_rate)
        self._set("nextFundingTime", str(mark.next_funding_ms))
        self._set("openInterestValue", plain(OPEN_INTEREST * Decimal(mark.mark)))
        self.origin = mark.origin

    def snapshot(self, sent_ms: int) -> bytes:
        """Write all fields."""
        return self._frame("snapshot", {"symbol": self.instrument.symbol} | self.fields, sent_ms)

    def delta(self, sent_ms: int) -> bytes:
        """Write what changed, and start anew; on spot a frame has all fields."""
        changed, self.changed = self.changed, {}
        if not self.linear:
            return self.snapshot(sent_ms)
        return self._frame("delta", {"symbol": self.instrument.symbol} | changed, sent_ms)

    def _frame(self, kind: str, data: dict[str, str], sent_ms: int) -> bytes:
        topic = f"tickers.{self.instrument.symbol}"
        if self.linear:
            return encode(
                {"topic": topic, "type": kind, "data": data, "cs": self.seq, "ts": sent_ms}
            )
        return encode({"topic": topic, "ts": sent_ms, "type": kind, "cs": self.seq, "data": data})

    def _open(self, price: str, now_ms: int) -> None:
        day = {"highPrice24h": price, "lowPrice24h": price, "prevPrice24h": price}
        totals = {"volume24h": "0", "turnover24h": "0", "price24hPcnt": "0"}
        if not self.linear:
            self.fields = {"lastPrice": price, **day, **totals, "usdIndexPrice": price}
            return
        touch = dict.fromkeys(("bid1Price", "bid1Size", "ask1Price", "ask1Size"), "")
        self.fields = {
            "tickDirection": "ZeroPlusTick",
            "lastPrice": price,
            **day,
            "prevPrice1h": price,
            "markPrice": price,
            "indexPrice": price,
            "openInterest": plain(OPEN_INTEREST),
            "openInterestValue": plain(OPEN_INTEREST * Decimal(price)),
            **totals,
            "fundingIntervalHour": "8",
            "nextFundingTime": str(next_funding_ms(now_ms)),
            "fundingRate": "0.0001",
        } | {name: self.fields.get(name, text) for name, text in touch.items()}

    def _set(self, name: str, text: str) -> None:
        if self.fields.get(name) != text:
            self.fields[name] = text
            self.changed[name] = text

    def _extreme(self, name: str, price: str, *, above: bool) -> None:
        known = Decimal(self.fields[name])
        if (Decimal(price) > known) if above else (Decimal(price) < known):
            self._set(name, price)

    def _add(self, name: str, amount: Decimal) -> None:
        self._set(name, plain(Decimal(self.fields[name]) + amount))
