from pathlib import Path

import pytest
from starlette.routing import Route

from api.auth import MAX_CACHED
from storage.keys import ApiKeys
from storage.tables import Scope
from tests.api.service import Service, running

OPEN = {"/health", "/webhook", "/webhook/{token}"}


def addresses(service: Service) -> list[tuple[str, str]]:
    routes = [route for route in service.app.routes if isinstance(route, Route)]
    return [
        (method, route.path)
        for route in routes
        for method in sorted(route.methods or ())
        if route.path not in OPEN and method != "HEAD"
    ]


async def test_every_route_asks_for_a_key_of_its_scope(service: Service) -> None:
    keys = {scope: service.key(scope) for scope in Scope}
    matrix = addresses(service)
    assert len(matrix) >= 12
    for method, path in matrix:
        assert (await service.call(method, path)).status_code == 401
        for scope, key in keys.items():
            allowed = method == "GET" or scope is not Scope.READ
            answer = await service.call(method, path.replace("{id}", "x"), key)
            assert (answer.status_code == 403) is not allowed, (method, path, scope)


async def test_a_key_may_come_in_either_header(service: Service) -> None:
    key = service.key(Scope.READ)
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key} "},
        {"X-API-Key": key},
    ):
        assert (await service.call("GET", "/bot", headers=headers)).status_code == 200


@pytest.mark.parametrize("key", ["", "wrong", "tg_wrong", "tg_" + "x" * 43, "tg_" + "x" * 500])
async def test_a_wrong_key_is_refused_and_noted_without_being_kept(
    service: Service, key: str
) -> None:
    answer = await service.call("GET", "/bot", headers={"X-API-Key": key})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert [error["field"] for error in answer.json()["errors"]] == ["Authorization"]
    (event,) = service.events("request.refused")
    assert not key or key not in str(event.data)


async def test_too_small_a_scope_is_refused_and_noted(service: Service) -> None:
    answer = await service.call("POST", "/bot/stop", service.key(Scope.READ))
    assert answer.status_code == 403
    assert "scope trade" in answer.json()["errors"][0]["remedy"]
    assert service.flow.accepting
    assert service.events("request.refused")[0].data["status"] == 403


async def test_a_revoked_key_is_dead_within_a_second_and_a_new_one_alive_at_once(
    service: Service,
) -> None:
    keys = ApiKeys(service.runtime.engine, service.clock)
    new = keys.create("test", Scope.READ)
    assert (await service.call("GET", "/bot", new.key)).status_code == 200
    keys.revoke(new.id)
    service.clock.advance(0.99)
    assert (await service.call("GET", "/bot", new.key)).status_code == 401
    assert (await service.call("GET", "/bot", service.key())).status_code == 200


async def test_a_key_is_looked_up_rarely(service: Service) -> None:
    gate = service.app.state.context.gate
    keys = [service.key(Scope.READ) for _ in range(3)]
    for _ in range(3):
        for key in keys:
            assert (await service.call("GET", "/bot", key)).status_code == 200
    assert len(gate._cache) == 3
    gate._cache.update(dict.fromkeys(bytes([n % 256, n // 256]) for n in range(MAX_CACHED)))
    assert (await service.call("GET", "/bot", service.key(Scope.READ))).status_code == 200
    assert len(gate._cache) == 1


async def test_wrong_keys_are_throttled_and_right_ones_still_pass(service: Service) -> None:
    statuses = [(await service.call("GET", "/bot", f"guess{n}")).status_code for n in range(25)]
    assert statuses[:20] == [401] * 20
    assert statuses[-1] == 429
    assert (await service.call("GET", "/bot", service.key())).status_code == 200


async def test_without_keys_everybody_on_this_machine_may(tmp_path: Path) -> None:
    async with running(tmp_path, api_keys_required=False) as service:
        assert (await service.call("POST", "/bot/stop")).status_code == 200
        assert service.events("bot.stopped")[0].actor == "rest"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:8080"}, 200),
        ({"Host": "localhost:8080", "Origin": "http://localhost:8080"}, 200),
        ({"Host": "LOCALHOST."}, 200),
        ({"Host": "127.1.2.3:8080"}, 200),
        ({"Host": "mybox:8080"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "192.0.2.1"}, 403),
        ({"Host": "evil", "Origin": "http://evil"}, 403),
        ({"Host": "evil"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "["}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "http://[bad"}, 403),
    ],
)
async def test_without_keys_a_foreign_web_page_may_not(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with running(tmp_path, api_keys_required=False, api_host="mybox") as service:
        answer = await service.call("POST", "/bot/stop", headers=headers)
        assert answer.status_code == status
        assert service.flow.accepting is (status == 403)
