"""A venue of a few lines: answers pybit's requests as a test says, and keeps what came."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order, OrderSide
from engine.venues.bybit.account import BybitAccount
from engine.venues.urls import BybitUrls

KEY, SECRET = "KEYkeyKEYkeyKEYkey", "SECRETsecretSECRETsecretSECRETsecret"
POSITION_ID = "abcdefghijklmnopqrstuvwxyz"

BTC_LINEAR = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
)
BTC_SPOT = Instrument(
    id=InstrumentId("bybit", Market.SPOT, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.000001"),
    min_qty=Decimal("0.000001"),
    min_notional=Decimal(5),
)
LISTED = {instrument.id: instrument for instrument in (BTC_LINEAR, BTC_SPOT)}


async def eventually(holds: Callable[[], object], seconds: float = 5.0) -> None:
    for _ in range(round(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to hold in time")


def lookup(venue: str, market: Market, symbol: str) -> Instrument | None:
    return LISTED.get(InstrumentId(venue, market, symbol))


def order(
    purpose: Purpose = Purpose.ENTRY,
    side: OrderSide = OrderSide.BUY,
    instrument: Instrument = BTC_LINEAR,
    qty: str = "0.01",
    trigger: str | None = None,
    generation: int = 0,
) -> Order:
    closes = purpose in (Purpose.EXIT, Purpose.BACKSTOP)
    return Order(
        client_order_id=client_order_id(POSITION_ID, purpose, generation),
        position_id=POSITION_ID,
        instrument=instrument,
        side=side,
        purpose=purpose,
        generation=generation,
        qty=Decimal(qty),
        reduce_only=closes and instrument.id.market is Market.LINEAR,
        created_at_ns=1,
        actor="guard",
        trigger_price=None if trigger is None else Decimal(trigger),
    )


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]
    port: int
    at_ns: int

    @property
    def params(self) -> dict[str, str]:
        if self.method == "POST":
            return json.loads(self.body)
        return {name: values[0] for name, values in parse_qs(self.query).items()}


@dataclass
class Said:
    """An answer; ``cut`` closes the connection instead."""

    result: object = None
    code: int = 0
    message: str = "OK"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None
    cut: bool = False
    delay_s: float = 0.0

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        result = {} if self.result is None else self.result
        return json.dumps({"retCode": self.code, "retMsg": self.message, "result": result}).encode()


Answering = Said | Callable[[Asked], Said]


def rows(*found: object, cursor: str = "", **more: object) -> Said:
    return Said({"list": list(found), "nextPageCursor": cursor, **more})


class Venue(ThreadingHTTPServer):
    """Answers a path with what ``says`` holds for it: one answer, or a list used up first."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.ahead_ms = 0
        self.released = threading.Event()
        self.says: dict[str, Answering | list[Answering]] = {
            "/v5/market/time": lambda asked: Said({"timeNano": str(self.now_ns())}),
            "/v5/position/list": rows(leg()),
            "/v5/order/create": lambda asked: Said(
                {"orderId": "v1", "orderLinkId": asked.params["orderLinkId"]}
            ),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def now_ns(self) -> int:
        return time.time_ns() + self.ahead_ms * 1_000_000

    def to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        said = self.says[asked.path]
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        return said(asked) if callable(said) else said

    def hang(self, asked: Asked) -> Said:
        """An answer that comes only when the test is over."""
        self.released.wait(20)
        return Said(cut=True)

    def account(self, clock, **options) -> BybitAccount:
        urls = BybitUrls(self.url, f"{self.url}/v5/public", "ws://127.0.0.1:9/v5/private")
        settings = {"leverage": 3, "margin_mode": None} | options
        return BybitAccount(urls, KEY, SECRET, clock, lookup, **settings)


def leg(symbol: str = "BTCUSDT", idx: int = 0, size: str = "0", side: str = "", **more: object):
    row = {"symbol": symbol, "side": side, "size": size, "positionIdx": idx}
    return row | {"leverage": "3", "avgPrice": "50000", "liqPrice": ""} | more


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.serve(b"")

    def do_POST(self) -> None:
        self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]
        said = self.server.answer(
            Asked(self.command, path, query, body, headers, port, time.monotonic_ns())
        )
        if said.delay_s:
            self.server.released.wait(said.delay_s)
        if said.cut:
            self.close_connection = True
            return
        data = said.body()
        with contextlib.suppress(OSError):
            self.send_response(said.status)
            for name, value in (("Content-Length", str(len(data))), *said.headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def running():
    venue = Venue()
    thread = threading.Thread(target=venue.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield venue
    finally:
        venue.released.set()
        venue.shutdown()
        thread.join()
        venue.server_close()
