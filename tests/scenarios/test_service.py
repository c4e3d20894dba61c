"""The service as its owner runs it: a process at the exchange simulator, stopped and killed."""

import json
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.demo.books import differences
from tests.scenarios.processes import SECRET, Exchange, Service, command, until

pytestmark = pytest.mark.timeout(180)  # several starts, on a machine that may be busy

Make = Callable[..., Service]

# Instruments that the seeded market does not walk: they have the prices they are given.
SOL = "bybit:linear:SOLUSDT"
XRP = "binance:spot:XRPUSDT"
BUY_SOL = {"action": "buy", "symbol": "BYBIT:SOLUSDT.P"}


def open_sol(service: Service, price: str = "150", **fields: object) -> str:
    """Open a long on SOL and return its position's id."""
    service.exchange.hold(SOL, price)
    answer = service.signal(**(BUY_SOL | fields))
    assert answer.status_code == 202, answer.text
    position = service.until_status("open")
    service.until_guarding()
    return str(position["id"])


def fills_of(service: Service, position_id: str) -> list[tuple[str, str]]:
    """The venue's fills of a position, by the purpose of their orders."""
    query = (
        f"SELECT substr(client_order_id, 27, 1), qty FROM fills"
        f" WHERE client_order_id LIKE '{position_id}%' ORDER BY time_ns, venue_trade_id"
    )
    return [(str(purpose), str(qty)) for purpose, qty in service.rows(service.account, query)]


def test_a_signal_opens_a_position_that_take_profit_closes_exactly_once(service: Make) -> None:
    running = service(TAKE_PROFIT_PERCENT="2", POSITION_SIZE="300").start()
    assert running.facts.keys() == {"url", "mode", "venues"}
    assert (running.facts["mode"], running.facts["venues"]) == ("paper", ["bybit", "binance"])
    position_id = open_sol(running)
    running.exchange.hold(SOL, "152.9")  # 0.1 below the limit
    running.until(lambda: running.positions()[0]["current_price"] == "152.9", "the price")
    assert running.positions()[0]["status"] == "open"
    running.exchange.hold(SOL, "153.1")
    closed = running.until_status("closed")
    assert (closed["id"], closed["exit_reason"]) == (position_id, "take_profit")
    assert closed["reaction_ms"] > 0
    running.exchange.hold(SOL, "160")
    running.exchange.hold(SOL, "140")
    running.stop()
    assert [purpose for purpose, _ in fills_of(running, position_id)] == ["e", "x"]
    assert differences(running.ledger, running.account) == []
    assert len(running.running().lines) == 1  # nothing but the announcement


def test_after_a_sigkill_open_positions_are_guarded_again(service: Make) -> None:
    first = service().start()
    position_id = open_sol(first, stop_loss_percent="1")
    first.kill()
    first.start()
    first.until_guarding()
    assert [each["id"] for each in first.positions("active")] == [position_id]
    first.exchange.hold(SOL, "148")
    closed = first.until_status("closed")
    assert (closed["id"], closed["exit_reason"]) == (position_id, "stop_loss")
    first.stop()
    assert [purpose for purpose, _ in fills_of(first, position_id)] == ["e", "x"]
    assert differences(first.ledger, first.account) == []


def test_orders_in_flight_at_a_sigkill_are_booked_once(service: Make) -> None:
    """The account takes two seconds over each order: time enough to be killed in between."""
    running = service(PAPER_LATENCY_MS="2000").start()

    def acknowledged(purpose: str) -> bool:
        query = (
            "SELECT 1 FROM orders WHERE status = 'acknowledged'"
            f" AND substr(client_order_id, 27, 1) = '{purpose}'"
        )
        return bool(running.rows(running.account, query))

    running.exchange.hold(SOL, "150")
    assert running.signal(**BUY_SOL).status_code == 202
    until(lambda: acknowledged("e"), "the entry's arrival at the account")
    running.kill()
    assert running.rows(running.account, "SELECT * FROM fills") == []
    running.start()
    position_id = running.until_status("open")["id"]
    running.until_guarding()
    running.exchange.hold(SOL, "120")
    until(lambda: acknowledged("x"), "the exit's arrival at the account")
    running.kill()
    assert [purpose for purpose, _ in fills_of(running, position_id)] == ["e"]
    running.start()
    assert running.until_status("closed")["exit_reason"] == "stop_loss"
    running.stop()
    assert [purpose for purpose, _ in fills_of(running, position_id)] == ["e", "x"]
    assert differences(running.ledger, running.account) == []


def test_a_stop_in_the_midst_of_requests_loses_none_that_was_accepted(service: Make) -> None:
    running = service().start()
    running.exchange.hold(XRP, "2.5")
    accepted: list[str] = []
    refused = threading.Event()

    def send() -> None:
        number = 0
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not refused.is_set():
                number += 1
                name = f"{threading.get_ident()}-{number}"
                body = {"secret": SECRET, "id": name, "action": "buy", "symbol": "BINANCE:XRPUSDT"}
                body["market"] = "spot"
                try:
                    answer = client.post(f"{running.facts['url']}/webhook", json=body)
                except httpx.TransportError:
                    refused.set()
                else:
                    if answer.status_code == 202:
                        accepted.append(name)
                    else:
                        assert answer.status_code == 503, answer.text
                        refused.set()

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    until(lambda: len(accepted) > 40, "forty signals")
    running.stop()
    for sender in senders:
        sender.join(timeout=20)
    written = {key for (key,) in running.rows(running.ledger, "SELECT external_id FROM signals")}
    assert set(accepted) <= written
    assert differences(running.ledger, running.account) == []


def test_a_venue_that_went_dumb_does_not_hold_up_the_stop(service: Make) -> None:
    running = service().start()
    open_sol(running)
    running.exchange.post("fault", kind="half_open")
    with socket.create_connection(("127.0.0.1", httpx.URL(running.facts["url"]).port)) as slow:
        slow.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        running.stop()


def test_a_second_service_on_one_folder_is_refused_by_name(service: Make, tmp_path: Path) -> None:
    running = service().start()
    with command("run", "--json", cwd=tmp_path, env=running.env) as second:
        assert second.wait() == 1
        assert second.lines == []
    said = (tmp_path / "run.log").read_text()
    assert f"process {running.running().process.pid}," in said
    assert "DATA_DIR" in said
    assert running.call("GET", "/health").status_code == 200


def test_a_port_that_is_taken_is_named(exchange: Exchange, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = exchange.urls | {"API_PORT": str(port), "WEBHOOK_SECRET": SECRET}
        with command("run", "--json", cwd=tmp_path, env=env) as refused:
            assert refused.wait() == 1
            assert refused.lines == []
    assert f"API_PORT={port} cannot be listened on" in (tmp_path / "run.log").read_text()


def test_stopping_the_bot_stops_entries_and_not_the_guard(service: Make) -> None:
    running = service().start()
    position_id = open_sol(running)
    assert running.call("POST", "/bot/stop").status_code == 200
    running.kill()  # it is kept over restarts
    running.start()
    assert not running.get("/bot")["accepting_signals"]
    assert running.signal(action="buy", symbol="BYBIT:XRPUSDT.P", id="late").status_code == 202
    late = running.until(
        lambda: [s for s in running.get("/signals")["items"] if s["outcome"] == "rejected"],
        "the refusal",
    )
    assert "stop" in late[0]["reason"]
    running.until_guarding()
    running.exchange.hold(SOL, "180")
    assert running.until_status("closed")["exit_reason"] == "take_profit"
    running.stop()
    assert [purpose for purpose, _ in fills_of(running, position_id)] == ["e", "x"]


def test_a_signal_that_is_sent_again_after_a_restart_is_a_duplicate(service: Make) -> None:
    running = service().start()
    running.exchange.hold(SOL, "150")
    first = running.signal(**BUY_SOL, id="only-once")
    assert first.status_code == 202
    running.until_status("open")
    running.kill()
    running.start()
    again = running.signal(**BUY_SOL, id="only-once")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["signal_id"] == first.json()["signal_id"]
    other = running.signal(**(BUY_SOL | {"action": "sell"}), id="only-once")
    assert other.status_code == 409
    assert len(running.get("/signals")["items"]) == len(running.positions()) == 1


@pytest.mark.parametrize("library", ["websockets", "picows"])
def test_a_lost_feed_is_told_and_taken_up_again(service: Make, library: str) -> None:
    running = service(STALE_FEED_SECONDS="2", FEED_TRANSPORT=library).start()
    open_sol(running)
    running.exchange.post("fault", kind="refuse")
    running.exchange.post("fault", kind="close")

    def why() -> str | None:
        answer = running.call("GET", "/ready")
        return answer.json()["detail"] if answer.status_code == 503 else None

    assert SOL in (running.until(why, "the alarm") or "")
    assert running.until(
        lambda: [each for each in running.positions("active") if each["guard"] == "blind"],
        "the position to be shown blind",
    )
    running.exchange.post("fault", kind="clear")
    running.until_guarding()
    running.exchange.hold(SOL, "120")
    assert running.until_status("closed")["exit_reason"] == "stop_loss"


def test_a_first_start_on_paper_makes_what_lets_the_owner_in(
    exchange: Exchange, tmp_path: Path
) -> None:
    env = exchange.urls | {"API_PORT": "0"}
    env_file, log = tmp_path / ".env", tmp_path / "run.log"
    with command("run", "--json", cwd=tmp_path, env=env) as first:
        url = first.announced()["url"]
        said = log.read_text().splitlines()
        secret = next(line for line in said if line.startswith("WEBHOOK_SECRET")).split()[-1]
        key = next(line for line in said if line.startswith("API key made")).split()[-1]
        assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
        assert f"WEBHOOK_SECRET={secret}" in env_file.read_text().splitlines()
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/bot", headers=headers, trust_env=False).status_code == 200
        body = {"secret": secret, "action": "close", "symbol": "BYBIT:BTCUSDT.P"}
        assert httpx.post(f"{url}/webhook", json=body, trust_env=False).status_code == 202
        first.signal(signal.SIGINT)
        assert first.wait() == 0
        assert len(first.lines) == 1
    shown = log.read_text()
    assert shown.count(secret) == shown.count(key) == 1
    log.unlink()
    with command("run", cwd=tmp_path, env=env) as second:
        until(lambda: "Tickguard guards on paper: http://" in log.read_text(), "the second start")
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
        assert second.lines == []
    assert "made" not in log.read_text()
    assert secret not in log.read_text()
    assert env_file.read_text().count("WEBHOOK_SECRET=") == 1


def test_keys_are_made_listed_and_revoked_beside_a_running_service(service: Make) -> None:
    running = service().start()

    def keys(*arguments: str) -> dict[str, object]:
        folder, env = running.folder, running.env
        with command("keys", *arguments, "--json", cwd=folder, env=env) as ran:
            assert ran.wait() == 0, ran.log.read_text()
            return dict(json.loads("".join(ran.lines)))

    def status(key: object) -> int:
        headers = {"X-API-Key": str(key)}
        return httpx.get(
            f"{running.facts['url']}/bot", headers=headers, trust_env=False
        ).status_code

    made = keys("create", "--name", "dashboard", "--scope", "read")
    assert made.keys() == {"id", "key"}
    assert status(made["key"]) == 200
    listed = keys("list")["items"]
    assert isinstance(listed, list)
    assert {each["name"] for each in listed} == {"test", "dashboard"}
    assert str(made["key"]) not in json.dumps(listed)
    assert keys("revoke", str(made["id"])) == {"id": made["id"], "revoked": True}
    until(lambda: status(made["key"]) == 401, "the revoked key's refusal")


def test_a_data_folder_that_cannot_be_made_is_named(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    env = exchange.urls | {"API_PORT": "0", "WEBHOOK_SECRET": SECRET}
    with command("run", "--json", cwd=tmp_path, env=env) as refused:
        assert refused.wait() == 1
    said = (tmp_path / "run.log").read_text()
    assert "DATA_DIR" in said
    assert "Traceback" not in said
