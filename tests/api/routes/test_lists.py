import base64

import pytest

from tests.api.service import ETH, Service

SHAPES = {
    "/signals": "id received_at source action venue market symbol outcome reason position_id",
    "/orders": (
        "id client_order_id venue_order_id position_id venue market symbol side purpose qty"
        " filled_qty status reason created_at"
    ),
    "/trades": (
        "id venue_trade_id order_id position_id venue market symbol side qty price fee fee_asset"
        " time"
    ),
    "/balances": "venue market asset total free locked",
}


@pytest.mark.parametrize("path", SHAPES)
async def test_a_wrong_limit_is_named(service: Service, path: str) -> None:
    answer = await service.call("GET", f"{path}?limit=zzz", service.key())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("path", SHAPES)
async def test_lists_have_the_contracts_shape(service: Service, path: str) -> None:
    await service.opened()
    await service.until(lambda: service.queries.trades().items)
    answer = await service.call("GET", path, service.key())
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["items", "next_cursor"]
    assert list(body["items"][0]) == SHAPES[path].split()


@pytest.mark.parametrize("path", ["/signals", "/orders", "/trades"])
async def test_lists_are_paged(service: Service, path: str) -> None:
    await service.opened()
    await service.opened(ETH)
    await service.until(lambda: len(service.queries.trades().items) >= 2)
    key = service.key()
    first = (await service.call("GET", f"{path}?limit=1", key)).json()
    rest = (await service.call("GET", f"{path}?cursor={first['next_cursor']}", key)).json()
    assert len(first["items"]) == 1
    assert first["items"][0]["id"] not in [item["id"] for item in rest["items"]]
    for text in (b"9" * 32 + b" x", b"9" * 32 + b" 1", b"1 " + b"9" * 32, b"-" + b"9" * 20 + b" 1"):
        cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
        wrong = await service.call("GET", f"{path}?cursor={cursor}", key)
        if path == "/signals" and text.startswith(b"1 "):
            assert wrong.status_code == 200
        else:
            assert wrong.status_code == 422
            assert wrong.json()["errors"][0]["field"] == "cursor"
    wrong = await service.call("GET", f"{path}?cursor=zzz", key)
    assert wrong.status_code == 422


@pytest.mark.parametrize("status", ["all", "active"])
async def test_a_huge_cursor_of_positions_is_no_crash(service: Service, status: str) -> None:
    cursor = base64.urlsafe_b64encode(b"9" * 32 + b" x").decode().rstrip("=")
    answer = await service.call("GET", f"/positions?status={status}&cursor={cursor}", service.key())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"
