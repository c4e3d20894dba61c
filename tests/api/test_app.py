import sqlite3
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.app import SECURITY_HEADERS
from storage.tables import Scope
from tests.api.service import SECRET, Service, running


async def test_every_answer_has_an_id_and_the_security_headers(service: Service) -> None:
    ids = set()
    for method, path in (("GET", "/health"), ("GET", "/nowhere"), ("POST", "/webhook")):
        answer = await service.call(method, path)
        ids.add(answer.headers["X-Request-Id"])
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        if answer.status_code >= 400:
            assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/webhook/", 404),
        ("GET", "/positions/", 404),
        ("GET", "/webhook", 405),
        ("PUT", "/positions", 405),
        ("DELETE", "/bot", 405),
    ],
)
async def test_wrong_addresses_and_methods_are_problems(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = await service.call(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    if status == 405:
        assert answer.headers["Allow"]


async def test_options_lists_the_methods_and_head_is_a_get(service: Service) -> None:
    answer = await service.call("OPTIONS", "/webhook")
    assert (answer.status_code, answer.headers["Allow"]) == (204, "POST")
    answer = await service.call("OPTIONS", "/positions")
    assert (answer.status_code, answer.headers["Allow"]) == (204, "GET, HEAD")
    assert "Access-Control-Allow-Origin" not in answer.headers
    for method, status in (("OPTIONS", 204), ("DELETE", 405)):
        answer = await service.call(method, "/positions/x")
        assert (answer.status_code, answer.headers["Allow"]) == (status, "GET, HEAD, PATCH")
    assert (await service.call("HEAD", "/health")).status_code == 200


async def test_a_crash_is_a_500_without_a_word_of_what_happened(service: Service) -> None:
    context = service.app.state.context
    object.__setattr__(context, "queries", None)
    with capture_logs() as logs:
        answer = await service.call("GET", "/balances", service.key())
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "NoneType" not in answer.text
    (failed,) = [entry for entry in logs if entry["event"] == "http.failed"]
    assert failed["request_id"] == answer.json()["request_id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_broken_database_is_a_503(service: Service) -> None:
    key = service.key(Scope.READ)
    assert (await service.call("GET", "/bot", key)).status_code == 200
    file = service.runtime.engine.url.database
    service.runtime.engine.dispose()
    with sqlite3.connect(str(file), isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        answer = await service.call("GET", "/signals", key)
        other.execute("ROLLBACK")
    other.close()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


async def test_requests_are_logged_by_route_and_without_secrets(service: Service) -> None:
    key = service.key()
    raw = b'{"action":"buy","symbol":"BTCUSDT.P"}'
    with capture_logs() as logs:
        await service.post(raw, f"/webhook/{SECRET}")
        await service.post(raw, "/webhook/guessed-token?token=query-token")
        await service.signal()
        await service.call("GET", f"/nowhere/{SECRET}", key)
    answered = [entry for entry in logs if entry["event"] == "http.answered"]
    assert [entry["route"] for entry in answered] == [
        "/webhook/{token}",
        "/webhook/{token}",
        "/webhook",
        "unmatched",
    ]
    assert [entry["status"] for entry in answered] == [202, 401, 200, 404]
    written = str(logs) + str(service.queries.events(limit=1000))
    for secret in (SECRET, key, "guessed-token", "query-token"):
        assert secret not in written


async def test_no_secret_reaches_the_database(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        key = service.key()
        await service.signal(comment=f"my secret is {SECRET}")
        await service.signal(action="hold", strategy=SECRET)
        await service.signal(symbol=SECRET)
        await service.signal(secret=f"{SECRET}x")
        await service.post(f'{{"secret":"{SECRET}"')
        await service.post(b"{}", f"/webhook/{SECRET}")
        await service.call("GET", "/bot", key)
    written = everything_in(tmp_path)
    assert SECRET.encode() not in written
    assert key.encode() not in written


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_a_client_that_leaves_is_no_crash(service: Service) -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhook",
        "raw_path": b"/webhook",
        "query_string": b"",
        "headers": [],
        "root_path": "",
    }
    with capture_logs() as logs:
        await service.app(scope, gone, send)
    assert "http.gone" in [entry["event"] for entry in logs]
    assert not sent


async def test_websockets_are_refused(service: Service) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def connect() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/webhook", "headers": [], "query_string": b""}
    await service.app(scope, connect, send)
    assert sent == ["websocket.close"]


async def test_two_lengths_of_one_body_end_the_connection(service: Service) -> None:
    headers = {"Content-Length": "2", "Transfer-Encoding": "chunked"}
    answer = await service.post(b"{}", headers=headers)
    assert answer.status_code == 400
    assert answer.headers["Connection"] == "close"
    assert [error["field"] for error in answer.json()["errors"]] == ["Content-Length"]
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
