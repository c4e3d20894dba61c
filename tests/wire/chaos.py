"""A service that trades on both venues and both markets through the real libraries, under faults.

The simulator and the service are processes of their own. Rounds of entries open small positions
whose take-profit or stop-loss a scripted price then reaches, while the simulator drops answers,
loses, doubles and delays account events, refuses for a while and cuts connections, as a seed has
it; at drawn moments the service is killed by SIGKILL and started again. In the end all faults are
off, everything comes to rest, and the books are compared.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from tests.scenarios.processes import Exchange, Service, command
from tests.wire.books import differences

START = {
    "bybit:spot:SOLUSDT": Decimal(150),
    "bybit:linear:SOLUSDT": Decimal(150),
    "binance:spot:XRPUSDT": Decimal("2.5"),
    "binance:linear:XRPUSDT": Decimal("2.5"),
}
MOVE = Decimal("0.02")
STEPS = 4
ROUND = 5
"""Entries a round of each venue and market: within the venues' order limits a second."""

REST_S = 90.0
SETTLED = {"opened", "rejected", "ignored", "closed"}

FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop_reply", "count": 2},
    {"kind": "delay", "delay_ms": 700, "count": 3},
    {"kind": "error_before", "count": 2},
    {"kind": "error_after", "count": 2},
    {"kind": "rate_limit", "count": 2},
    {"kind": "drop_event", "count": 3},
    {"kind": "duplicate_event", "count": 5},
    {"kind": "reorder_events", "count": 3},
    {"kind": "lag", "delay_ms": 900, "duration_ms": 3_000},
    {"kind": "disconnect", "count": 1},
)


@dataclass(slots=True)
class Story:
    """What happened, for the message of a failure."""

    seed: int
    opened: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    took_s: float = 0.0


class Chaos:
    """One seeded run.

    Args:
        wanted: positions to open of each venue and market.
        kills: how often the service is killed.
    """

    def __init__(
        self, exchange: Exchange, service: Service, seed: int, wanted: int, kills: int
    ) -> None:
        self.exchange = exchange
        self.service = service
        self.story = Story(seed)
        self._random = Random(seed)
        self._wanted = wanted
        self._number = 0
        rounds = max(wanted // ROUND, kills)
        self._kill_in = set(self._random.sample(range(rounds), kills))
        self._prices = dict(START)

    def run(self) -> Story:
        """Play all rounds, then let everything come to rest."""
        begun = time.monotonic()
        self._hold(Decimal(0))
        number = 0
        while any(self.story.opened[name] < self._wanted for name in START):
            assert number < 8 * self._wanted, f"entries are not taken: {self.story}"
            self._round(number)
            number += 1
        self.exchange.post("fault", kind="clear")
        self.service.until_guarding()
        self._until(self._is_at_rest, "everything closed")
        self.story.took_s = time.monotonic() - begun
        return self.story

    def _round(self, number: int) -> None:
        sent = [self._enter(name, number) for name in START for _ in range(ROUND)]
        self._break()
        self._perhaps_kill(number, when=0)
        self._until(lambda: self._are_settled(sent), "an outcome of every signal")
        self._move(self._random.choice((MOVE, -MOVE)))
        self._perhaps_kill(number, when=1)
        self._until(self._is_at_rest, "every position closed")
        self._hold(Decimal(0))

    def _enter(self, name: str, number: int) -> str:
        venue, market, symbol = name.split(":")
        self._number += 1
        key = f"r{number}-{self._number}"
        action = "buy" if market == "spot" or number % 2 else "sell"
        answer = self.service.signal(
            id=key, action=action, venue=venue, market=market, symbol=symbol, strategy=key
        )
        assert answer.status_code == 202, answer.text
        return key

    def _break(self) -> None:
        """Put some faults in force, each of one venue."""
        for fault in self._random.sample(FAULTS, 3):
            venue = self._random.choice(("bybit", "binance"))
            self.exchange.post("fault", venue=venue, **fault)
            self.story.faults[fault["kind"]] += 1

    def _perhaps_kill(self, number: int, when: int) -> None:
        if number in self._kill_in and (self._random.random() < 0.5 or when == 1):
            self._kill_in.discard(number)
            time.sleep(self._random.random() * 0.4)
            self.service.kill()
            self.story.kills += 1
            self.service.start()

    def _hold(self, moved: Decimal) -> None:
        for name, price in START.items():
            at = (price * (1 + moved)).quantize(Decimal("0.0001"))
            self.exchange.hold(name, str(at.normalize()))

    def _move(self, to: Decimal) -> None:
        for step in range(1, STEPS + 1):
            self._hold(to * step / STEPS)
            time.sleep(0.1)

    def _until(self, condition: Any, what: str) -> None:
        try:
            self.service.until(condition, what, within_s=REST_S)
        except AssertionError as error:
            active = self.service.positions("active")
            raise AssertionError(f"{error}\n{self.story}\n{active}") from error

    def _are_settled(self, keys: list[str]) -> bool:
        """Whether each of the signals has its outcome; counts what was opened."""
        self._note_opened()
        wanted = set(keys)
        query = "SELECT external_id, outcome FROM signals"
        outcomes = dict(self.service.rows(self.service.ledger, query))
        return all(outcomes.get(key) in SETTLED for key in wanted)

    def _is_at_rest(self) -> bool:
        self._note_opened()
        return not self.service.positions("active")

    def _note_opened(self) -> None:
        query = (
            "SELECT venue || ':' || market || ':' || symbol, count(*) FROM positions"
            " WHERE status != 'rejected' GROUP BY 1"
        )
        self.story.opened = Counter(dict(self.service.rows(self.service.ledger, query)))
        reasons = "SELECT coalesce(exit_reason, status), count(*) FROM positions GROUP BY 1"
        self.story.reasons = Counter(dict(self.service.rows(self.service.ledger, reasons)))


@contextmanager
def on_the_wire(folder: Path, **settings: str) -> Iterator[tuple[Exchange, Service]]:
    """A simulator and a service that is set up for it by what it printed, and nothing else."""
    arguments = ("simulator", "--prices", "seeded", "--seed", "7", "--json")
    (folder / "simulator").mkdir()
    with command(*arguments, cwd=folder / "simulator") as process:
        facts = process.announced()
        exchange = Exchange(facts)
        keys = {
            f"{venue.upper()}_API_{part.upper()}": value
            for venue, pair in facts["keys"].items()
            for part, value in pair.items()
        }
        named = {"TRADING_MODE": "testnet", "ENABLE_TELEGRAM_NOTIFICATIONS": "False"}
        service = Service(exchange, folder, **named, **keys, **settings)
        try:
            yield exchange, service
        finally:
            service.end()
            exchange.close()


def live(folder: Path, seed: int, wanted: int, kills: int) -> Story:
    """Live one seeded run, and compare the books in the end."""
    settings = {
        "TAKE_PROFIT_PERCENT": "1.5",
        "STOP_LOSS_PERCENT": "1.5",
        "MAX_OPEN_POSITIONS": "1000",
        "MAX_ENTRY_DEVIATION_PERCENT": "5",
        "MONITOR_INTERVAL": "5",
        "POSITION_SIZE": "30",
    }
    with on_the_wire(folder, **settings) as (exchange, service):
        service.start()
        chaos = Chaos(exchange, service, seed, wanted, kills)
        story = chaos.run()
        service.stop(within_s=20)
        assert not differences(service.ledger, exchange.accounts()), story
        return story
