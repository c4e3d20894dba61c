"""``tickguard doctor`` on the accounts that the simulator keeps, as a process."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.processes import Exchange, command

VENUES = ("bybit", "binance")
Row = dict[str, str]
Rows = dict[tuple[str, str], Row]


class Office:
    """A simulator, and the doctor beside it."""

    def __init__(self, exchange: Exchange, keys: dict[str, dict[str, str]], folder: Path) -> None:
        self.exchange = exchange
        self._keys = keys
        self._folder = folder

    def environment(self, **changes: str) -> dict[str, str]:
        keys = {
            f"{venue.upper()}_API_{part.upper()}": self._keys[venue][part]
            for venue in VENUES
            for part in ("key", "secret")
        }
        named = {"TRADING_MODE": "testnet", "VENUES": ",".join(VENUES)}
        named |= {"DEFAULT_VENUE": VENUES[0], "ENABLE_TELEGRAM_NOTIFICATIONS": "False"}
        return self.exchange.urls | keys | named | changes

    def ask(self, **changes: str) -> tuple[int, Rows]:
        """Exit code and lines, by where and check."""
        code, text = self.run("--json", **changes)
        told = json.loads(text)
        assert told["ok"] is (code == 0)
        return code, {(row["where"], row["check"]): row for row in told["findings"]}

    def run(self, *arguments: str, **changes: str) -> tuple[int, str]:
        env = self.environment(**changes)
        with command("doctor", *arguments, cwd=self._folder, env=env) as ran:
            code = ran.wait()
            return code, "\n".join(ran.lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Office]]:
    arguments = ("simulator", "--prices", "seeded", "--json")
    with command(*arguments, cwd=tmp_path_factory.mktemp("simulator")) as process:
        facts = process.announced()
        exchange = Exchange(facts)
        yield lambda folder: Office(exchange, facts["keys"], folder)
        exchange.close()


@pytest.fixture
def office(place: Callable[[Path], Office], tmp_path: Path) -> Iterator[Office]:
    made = place(tmp_path)
    yield made
    made.exchange.post("fault", kind="clear")
    permit(made, withdraw=False, transfer=False, ip_bound=True)


def permit(office: Office, **rights: bool) -> None:
    for venue in VENUES:
        office.exchange.post("account", venue=venue, action="permissions", key=rights)


def grades(rows: Rows, venue: str) -> set[str]:
    return {row["grade"] for (where, _), row in rows.items() if where == venue}


def test_a_good_key_needs_nothing(office: Office) -> None:
    code, rows = office.ask()
    assert code == 0
    for venue in VENUES:
        assert grades(rows, venue) == {"ok"}, rows
        checks = {check for where, check in rows if where == venue}
        assert {"clock", "key", "withdrawals", "address binding", "balances"} <= checks
        assert "100000" in rows[venue, "balances"]["detail"]


def test_in_words_it_is_a_table_with_the_remedies(office: Office) -> None:
    permit(office, ip_bound=False)
    code, text = office.run()
    assert code == 0
    for word in ("what to do", "address binding", "warning", *VENUES):
        assert word in text


@pytest.mark.parametrize("venue", VENUES)
def test_a_key_that_the_venue_does_not_know_is_told(office: Office, venue: str) -> None:
    name = f"{venue.upper()}_API_KEY"
    known = office.environment()[name]
    code, rows = office.ask(**{name: known[::-1]})
    assert code == 1
    assert rows[venue, "key"]["grade"] == "bad"
    assert rows[venue, "key"]["remedy"]
    assert known[::-1] not in json.dumps(list(rows.values()))


@pytest.mark.parametrize("venue", VENUES)
def test_a_secret_that_is_wrong_is_told(office: Office, venue: str) -> None:
    name = f"{venue.upper()}_API_SECRET"
    code, rows = office.ask(**{name: office.environment()[name][::-1]})
    assert code == 1
    assert rows[venue, "key"]["grade"] == "bad"


@pytest.mark.parametrize("right", ["withdraw", "transfer"])
def test_a_key_that_could_empty_the_account_is_refused(office: Office, right: str) -> None:
    permit(office, **{right: True})
    code, rows = office.ask()
    assert code == 1
    for venue in VENUES:
        row = rows[venue, "withdrawals"]
        assert row["grade"] == "bad"
        assert "ALLOW_RISKY_KEYS" in row["remedy"]
    code, rows = office.ask(ALLOW_RISKY_KEYS="yes")
    assert code == 0
    assert {rows[venue, "withdrawals"]["grade"] for venue in VENUES} == {"warning"}


def test_a_skewed_clock_is_told_with_the_way_to_set_it(office: Office) -> None:
    for venue in VENUES:
        office.exchange.post("fault", kind="skew", venue=venue, skew_ms=7_000)
    code, rows = office.ask()
    assert code == 0  # requests carry the venue's time
    for venue in VENUES:
        assert rows[venue, "clock"]["grade"] == "warning"
        assert "time synchronisation" in rows[venue, "clock"]["remedy"]


def test_a_venue_that_is_not_there_is_no_bad_key(office: Office) -> None:
    nobody: dict[str, Any] = {
        name: "http://127.0.0.1:9" for name in office.exchange.urls if name.endswith("REST_URL")
    }
    code, rows = office.ask(**nobody)
    assert code == 1
    for venue in VENUES:
        assert rows[venue, "reachable"]["grade"] == "bad"
        assert (venue, "key") not in rows


def test_on_paper_no_key_is_needed(office: Office) -> None:
    blank = {f"{venue.upper()}_API_{part}": "" for venue in VENUES for part in ("KEY", "SECRET")}
    code, rows = office.ask(TRADING_MODE="paper", **blank)
    assert code == 0
    assert rows["bybit spot and linear", "clock"]["grade"] == "ok"
    assert all(rows[venue, "key"]["grade"] == "ok" for venue in VENUES)
