from decimal import Decimal
from pathlib import Path

import pytest

from api.demo.facts import read_facts, read_outcomes
from api.demo.plan import PlannedSignal
from tests.api.demo.records import POSITION, change, write

PLAN = {"sent-1": PlannedSignal({"id": "sent-1", "take_profit_percent": "2"})}


def test_facts_come_from_the_plan_the_venue_and_the_ledger(tmp_path: Path) -> None:
    ledger, venue = write(tmp_path)
    [facts] = read_facts(ledger, venue, PLAN, epoch_offset_ns=1000)
    assert (facts.position_id, facts.instrument) == (POSITION, "bybit:linear:BTCUSDT")
    assert (facts.side, facts.status, facts.exit_reason) == ("long", "closed", "take_profit")
    assert (facts.take_profit_percent, facts.stop_loss_percent) == (Decimal(2), Decimal(15))
    assert (facts.entry_qty, facts.entry_value) == (Decimal(3), Decimal(302))
    assert facts.trigger_price == Decimal(110)
    assert facts.tick_size == Decimal("0.1")
    assert facts.entered_ns == 4000  # the first fill, by the monotonic clock
    assert facts.exit_taken_ns == 8  # due less the account's latency
    assert read_outcomes(ledger) == {"sent-1": ("opened", None, POSITION)}


def test_an_open_position_has_no_exit(tmp_path: Path) -> None:
    ledger, venue = write(tmp_path)
    change(ledger, "DELETE FROM orders WHERE purpose = 'exit'")
    change(venue, "DELETE FROM orders WHERE client_order_id LIKE '%x0'")
    [facts] = read_facts(ledger, venue, PLAN, epoch_offset_ns=0)
    assert (facts.trigger_price, facts.exit_taken_ns) == (None, None)


def test_a_position_that_the_venue_never_filled_is_a_fact_unless_rejected(tmp_path: Path) -> None:
    ledger, venue = write(tmp_path)
    change(venue, "DELETE FROM fills")
    [facts] = read_facts(ledger, venue, PLAN, epoch_offset_ns=0)
    assert facts.entry_qty == 0
    change(ledger, "UPDATE positions SET status = 'rejected'")
    assert read_facts(ledger, venue, PLAN, epoch_offset_ns=0) == []


def test_a_position_of_a_signal_that_nobody_planned_is_an_error(tmp_path: Path) -> None:
    ledger, venue = write(tmp_path)
    with pytest.raises(KeyError):
        read_facts(ledger, venue, {}, epoch_offset_ns=0)
