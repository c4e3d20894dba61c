import asyncio
import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from api.webhook.secret import sign
from engine.clock import NS_PER_SECOND
from engine.model.exit_set import ExitChanges
from engine.model.exits import Percent
from engine.model.rules.ladder import Rung
from tests.api.service import BTC, BTC_SPOT, SECRET, Service, running


def field_of(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert all(error["remedy"] for error in body["errors"])
    return ",".join(error["field"] for error in body["errors"])


async def test_a_good_signal_is_accepted_after_its_commit_and_opens(service: Service) -> None:
    answer = await service.signal(strategy="trend", id="1", comment="go")
    assert answer.status_code == 202
    signal_id = answer.json()["signal_id"]
    assert answer.json() == {"status": "accepted", "signal_id": signal_id}
    record = service.queries.signal(signal_id)
    assert record is not None
    assert json.loads(record.signal.raw) == {
        "action": "buy",
        "symbol": "BTCUSDT.P",
        "strategy": "trend",
        "id": "1",
        "comment": "go",
    }
    await service.until(lambda: service.orders and service.flow.positions()[0].status == "open")
    assert service.orders[0].instrument.id == BTC


async def test_the_token_in_the_path_stands_for_the_secret(service: Service) -> None:
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    assert (await service.post(raw, f"/webhook/{SECRET}")).status_code == 202
    assert (await service.post(raw, "/webhook/wrong")).status_code == 401
    with_wrong = json.dumps({"secret": "wrong", "action": "buy", "symbol": "BTCUSDT.P"})
    assert (await service.post(with_wrong, f"/webhook/{SECRET}")).status_code == 401


async def test_the_content_type_does_not_matter(service: Service) -> None:
    body = json.dumps({"secret": SECRET, "action": "buy", "symbol": "BTCUSDT.P"})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        answer = await service.post(body, headers={"Content-Type": kind})
        assert answer.status_code in (200, 202)


async def test_every_exit_rule_is_kept_with_its_signal(tmp_path: Path) -> None:
    zone, tomorrow = ZoneInfo("Asia/Tokyo"), 24 * 3600 * NS_PER_SECOND
    async with running(tmp_path, close_at=datetime.time(21), timezone=zone) as service:
        ladder = [{"percent": 5, "fraction": "0.5"}]
        rules = {"trailing_percent": "2", "ladder": ladder, "max_hold_seconds": 60}
        signals = []
        for more in ({}, {"close_at": None}):
            answer = await service.signal(symbol="ETHUSDT.P", **rules | more)
            assert answer.status_code == 202
            record = service.queries.signal(answer.json()["signal_id"])
            assert record is not None
            signals.append(record.signal)
    asked = ExitChanges(
        trailing=Percent(Decimal(2)),
        ladder=(Rung(Percent(Decimal(5)), Decimal("0.5")),),
        max_hold_ns=60 * NS_PER_SECOND,
    )
    close_at_ns = signals[0].exits.close_at_ns
    assert close_at_ns is not None
    assert 0 < close_at_ns - signals[0].received_at_ns <= tomorrow
    assert signals[0].exits == replace(asked, close_at_ns=close_at_ns)
    assert signals[1].exits == replace(asked, close_at_ns=0)


BAD_INPUTS = [
    ({"symbol": "BTCUSDX.P"}, 422, "symbol"),
    ({"symbol": "KRAKEN:BTCUSDT"}, 422, "symbol"),
    ({"market": "futures"}, 422, "market"),
    ({"market": "spot"}, 422, "market"),
    ({"venue": "okx"}, 422, "venue"),
    ({"action": "hold"}, 422, "action"),
    ({"qty": "many"}, 422, "qty"),
    ({"qty": "NaN"}, 422, "qty"),
    ({"price": -1}, 422, "price"),
    ({"stop_loss_percent": 100}, 422, "stop_loss_percent"),
    ({"stop_los": 5}, 422, "stop_los"),
    ({"trailing_percent": 100}, 422, "trailing_percent"),
    ({"trailing_activation_percent": 5}, 422, "trailing_activation_percent"),
    ({"break_even_percent": 15}, 422, "break_even_percent"),
    ({"ladder": [{"percent": 5, "fractoin": 1}]}, 422, "ladder,ladder"),
    ({"ladder": [{"percent": 5, "fraction": 1.5}]}, 422, "ladder"),
    ({"close_at": "25:00"}, 422, "close_at"),
    ({"confirm_ms": 60_001}, 422, "confirm_ms"),
    ({"trigger": "bid"}, 422, "trigger"),
    ({"comment": "x" * 17_000}, 413, "body"),
    ({"comment": [[[[[[[[1]]]]]]]]}, 400, "body"),
    ({"secret": "wrong"}, 401, "secret"),
    ({"secret": None}, 401, "secret"),
]


@pytest.mark.parametrize(("fields", "status", "field"), BAD_INPUTS)
async def test_bad_input_is_refused_noted_and_harmless(
    service: Service, fields: dict[str, Any], status: int, field: str
) -> None:
    answer = await service.signal(**fields)
    assert (answer.status_code, field_of(answer)) == (status, field)
    (event,) = service.events("signal.refused")
    assert event.data["status"] == status
    assert ",".join(error["field"] for error in event.data["errors"]) == field
    assert len(event.data["body"]) <= 200
    assert SECRET not in json.dumps(event.data)
    assert service.queries.signals().items == ()
    assert (await service.signal()).status_code == 202
    await service.until(lambda: service.orders)
    assert len(service.orders) == 1


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (b"", 400, "body"),
        (b"\xef\xbb\xbf{}", 400, "body"),
        (b"not json", 400, "body"),
        (b'{"secret":"' + SECRET.encode() + b'","action":"bu', 400, "body"),
        (b'{"secret":"' + SECRET.encode() + b'","price":NaN}', 400, "price"),
        (b"\xff" * 20, 400, "body"),
        (b"[" * 16_000, 400, "body"),
        (b"x" * 16_385, 413, "body"),
    ],
)
async def test_malformed_bodies_are_refused_noted_and_harmless(
    service: Service, raw: bytes, status: int, field: str
) -> None:
    answer = await service.post(raw)
    assert (answer.status_code, field_of(answer)) == (status, field)
    (event,) = service.events("signal.refused")
    assert SECRET not in json.dumps(event.data)
    assert (await service.signal()).status_code == 202


async def test_a_chunked_body_is_cut_off_at_its_first_byte_too_many(service: Service) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1024
            yield b"x" * 1024

    answer = await service.call("POST", "/webhook", content=endless())
    assert answer.status_code == 413
    assert sent <= 18 * 1024
    (event,) = service.events("signal.refused")
    assert event.data["body"] == "x" * 200


async def test_a_near_name_is_offered_for_an_unlisted_symbol(service: Service) -> None:
    answer = await service.signal(symbol="BTCUSD.P")
    assert "BTCUSDT" in answer.json()["errors"][0]["remedy"]


async def test_a_wrong_secret_is_answered_before_wrong_fields(service: Service) -> None:
    answer = await service.signal(secret="wrong", action="hold")
    assert (answer.status_code, field_of(answer)) == (401, "secret")


async def test_wrong_secrets_are_throttled_and_the_right_one_still_passes(
    service: Service,
) -> None:
    statuses = [(await service.signal(secret=f"guess {n}")).status_code for n in range(25)]
    assert statuses[:20] == [401] * 20
    assert set(statuses[22:]) == {429}
    assert len(service.events("signal.refused")) <= 22
    assert (await service.signal()).status_code == 202
    service.clock.advance(5)
    assert (await service.signal(secret="again")).status_code == 401
    assert service.events("signal.refused")[-1].data["skipped_before"] >= 3


async def test_strangers_fill_the_event_log_so_far_and_no_further(service: Service) -> None:
    answers = [await service.post(b"{") for _ in range(230)]
    assert {answer.status_code for answer in answers} == {400}
    noted = len(service.events("signal.refused"))
    assert 200 <= noted < 230
    assert (await service.signal(action="hold")).status_code == 422
    assert service.events("signal.refused")[-1].data["skipped_before"] >= 1


async def test_without_a_configured_secret_every_signal_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, webhook_secret=None) as service:
        for secret in ("", None, "x"):
            assert (await service.signal(secret=secret)).status_code == 401
        assert (await service.post(b"{}", "/webhook/x")).status_code == 401


async def test_very_many_fields_are_one_error_and_a_small_line(service: Service) -> None:
    answer = await service.signal(**{f"k{n}": n for n in range(1200)})
    assert (answer.status_code, field_of(answer)) == (422, "body")
    assert "1203 fields" in answer.json()["errors"][0]["remedy"]
    (event,) = service.events("signal.refused")
    assert len(json.dumps(event.data)) <= 2048


@pytest.mark.parametrize("hidden", [SECRET.upper(), "tg_" + "Ab-_9" * 8 + "xyz"])
async def test_no_secret_comes_into_the_event_log(service: Service, hidden: str) -> None:
    long = "x" * 35 + hidden
    for fields in ({long: 1}, {"action": long}, {"symbol": "KRAKEN" + hidden}, {"comment": [long]}):
        assert (await service.signal(**fields)).status_code == 422
    twice = f'{{"{long}":1,"{long}":2}}'
    assert (await service.post(twice)).status_code == 400
    events = service.events("signal.refused")
    assert len(events) == 5
    for event in events:
        assert hidden[:12].lower() not in json.dumps(event.data).lower()


async def test_at_most_twenty_wrong_fields_are_named(service: Service) -> None:
    answer = await service.signal(**{f"{n}" + "\U0001f600" * 60: n for n in range(30)})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert answer.json()["detail"].endswith("and 10 more")
    (event,) = service.events("signal.refused")
    assert len(json.dumps(event.data)) <= 2048
    assert event.data["errors_left_out"] > 10


# Signatures


def signed(service: Service, raw: bytes, ahead_s: int = 0) -> dict[str, str]:
    timestamp = str(service.clock.now_ns() // NS_PER_SECOND + ahead_s)
    return {"X-Timestamp": timestamp, "X-Signature": sign(SECRET, timestamp, raw)}


async def test_a_signed_signal_needs_no_secret_and_carries_its_moment(service: Service) -> None:
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    headers = signed(service, raw)
    answer = await service.post(raw, headers=headers)
    assert answer.status_code == 202
    record = service.queries.signal(answer.json()["signal_id"])
    assert record is not None
    assert record.signal.sent_at_ns == int(headers["X-Timestamp"]) * NS_PER_SECOND
    assert (await service.post(raw + b" ", headers=headers)).status_code == 401


async def test_a_replayed_signature_opens_nothing(service: Service) -> None:
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    headers = signed(service, raw)
    first = await service.post(raw, headers=headers)
    again = await service.post(raw, headers=headers)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["signal_id"] == first.json()["signal_id"]
    service.clock.advance(61)
    late = await service.post(raw, headers=headers)
    assert (late.status_code, late.json()) == (200, again.json())
    assert len(service.queries.signals().items) == 1
    fresh = await service.post(raw, headers=signed(service, raw))
    assert fresh.status_code == 202


async def test_a_signature_replayed_after_a_restart_opens_nothing(tmp_path: Path) -> None:
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    async with running(tmp_path) as service:
        headers = signed(service, raw)
        first = await service.post(raw, headers=headers)
        assert first.status_code == 202
        await service.until(lambda: service.flow.positions()[0].status == "open")
        assert (await service.signal(action="close")).status_code == 202
        await service.until(lambda: service.queries.positions("closed").items)
    async with running(tmp_path) as service:
        service.clock.advance(90)
        again = await service.post(raw, headers=headers)
        assert again.json() == {"status": "duplicate", "signal_id": first.json()["signal_id"]}
        assert again.status_code == 200
        assert not service.orders
        assert not service.flow.positions()


async def test_an_equal_body_signed_anew_is_a_duplicate_for_a_minute(service: Service) -> None:
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    first = await service.post(raw, headers=signed(service, raw))
    service.clock.advance(30)
    again = await service.post(raw, headers=signed(service, raw))
    assert (again.status_code, again.json()["signal_id"]) == (200, first.json()["signal_id"])


async def test_a_body_that_states_its_time_keeps_it(service: Service) -> None:
    sent = service.clock.now_ns() // NS_PER_SECOND - 5
    raw = json.dumps({"action": "buy", "symbol": "BTCUSDT.P", "time": sent}).encode()
    answer = await service.post(raw, headers=signed(service, raw))
    record = service.queries.signal(answer.json()["signal_id"])
    assert record is not None
    assert record.signal.sent_at_ns == sent * NS_PER_SECOND


# Recorded outcomes


async def test_a_missing_instrument_list_is_a_recorded_outcome(tmp_path: Path) -> None:
    async with running(tmp_path, listed=False) as service:
        answer = await service.signal()
        assert answer.status_code == 202
        record = service.queries.signal(answer.json()["signal_id"])
        assert record is not None
        assert record.outcome == "rejected"
        assert (record.reason or "").startswith("instrument_list_unavailable")
        assert (record.reason or "").endswith("with a new id")
        assert service.events("signal.rejected")
        assert not service.orders


async def test_what_we_hold_can_be_closed_without_an_instrument_list(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        await first.opened()
    async with running(tmp_path, listed=False) as service:
        answer = await service.signal(action="close")
        assert answer.status_code == 202
        await service.until(lambda: not service.flow.positions())


async def test_business_reasons_are_accepted_and_recorded(service: Service) -> None:
    await service.call("POST", "/bot/stop", service.key())
    answers = [
        await service.signal(),
        await service.signal(action="sell", symbol="BTCUSDT", market="spot"),
        await service.signal(action="close", symbol="ETHUSDT"),
        await service.signal(qty="0.00000001", symbol="ETHUSDT"),
    ]
    assert [answer.status_code for answer in answers] == [202] * 4
    records = [service.queries.signal(answer.json()["signal_id"]) for answer in answers]
    outcomes = [str(record.outcome) for record in records if record]
    assert outcomes == ["rejected", "rejected", "ignored", "rejected"]
    assert not service.orders


async def test_one_market_is_taken_and_the_other_never_tried(service: Service) -> None:
    await service.opened(BTC_SPOT)
    assert {order.instrument.id for order in service.orders} == {BTC_SPOT}
    assert (await service.signal(symbol="ETHUSDT", market="spot")).status_code == 422


# Storage that does not answer


async def test_a_stalled_commit_is_answered_in_time_and_recognised_later(
    service: Service,
) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()
    service.journal.gate = lambda: asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
    began = loop.time()
    answer = await service.signal(id="slow")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert loop.time() - began < 1.5
    released.set()
    again = await service.signal(id="slow")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert len(service.queries.signals().items) == 1


async def test_refusing_storage_is_a_503_and_takes_nothing(service: Service) -> None:
    def refuse() -> None:
        from engine.model.errors import Retryable

        raise Retryable("disk full")

    service.journal.gate = refuse
    service.flow.handle(_switch(service, accepting=False))
    await service.until(service.flow.problems)
    answer = await service.signal()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert (await service.signal(action="hold")).status_code == 422
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    headers = signed(service, raw)
    assert (await service.post(raw, headers=headers)).status_code == 503
    service.journal.gate = lambda: None
    await service.until(lambda: not service.flow.problems())
    assert (await service.post(raw, headers=headers)).status_code == 202


def _switch(service: Service, *, accepting: bool) -> Any:
    from engine.model.events import BotSwitched

    return BotSwitched(accepting, "test", service.clock.now_ns())
