import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.problems import Problem
from api.routes.idempotency import MAX_REMEMBERED, Idempotency
from storage.tables import Scope

OWNER = Caller("rest:one", Scope.TRADE)


def request(key: str | None, path: str = "/bot/stop") -> Request:
    headers = [] if key is None else [(b"idempotency-key", key.encode())]
    scope = {"type": "http", "path": path, "headers": headers, "query_string": b""}
    return Request(scope | {"server": ("127.0.0.1", 80), "scheme": "http"})


class Acts:
    """Counts how often something was done."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count = 0
        self.error = error

    async def __call__(self) -> Response:
        self.count += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return Response(str(self.count))


async def gathered(times: int, call: Callable[[], Awaitable[Response]]) -> list[Response]:
    return await asyncio.gather(*(call() for _ in range(times)))


async def test_one_key_is_one_act_and_one_answer_also_at_once() -> None:
    once, act = Idempotency(), Acts()
    answers = await gathered(5, lambda: once.once(request("k"), OWNER, b"{}", act))
    assert act.count == 1
    assert {answer.body for answer in answers} == {b"1"}


async def test_without_a_key_every_call_acts() -> None:
    once, act = Idempotency(), Acts()
    await gathered(3, lambda: once.once(request(None), OWNER, b"", act))
    assert act.count == 3


async def test_another_caller_or_address_is_another_act() -> None:
    once, act = Idempotency(), Acts()
    await once.once(request("k"), OWNER, b"", act)
    await once.once(request("k", "/bot/start"), OWNER, b"", act)
    await once.once(request("k"), Caller("rest:two", Scope.TRADE), b"", act)
    assert act.count == 3


async def test_a_key_with_another_body_or_too_long_is_refused() -> None:
    once, act = Idempotency(), Acts()
    await once.once(request("k"), OWNER, b"1", act)
    for key, raw in (("k", b"2"), ("k" * 201, b"1")):
        with pytest.raises(Problem) as caught:
            await once.once(request(key), OWNER, raw, act)
        assert caught.value.status == 422
    assert act.count == 1


async def test_what_failed_may_be_tried_again_under_its_key() -> None:
    once, failing, act = Idempotency(), Acts(ValueError("broken")), Acts()
    with pytest.raises(ValueError, match="broken"):
        await once.once(request("k"), OWNER, b"1", failing)
    await once.once(request("k"), OWNER, b"2", act)
    assert act.count == 1


async def test_the_oldest_keys_are_forgotten_first() -> None:
    once, act = Idempotency(), Acts()
    for number in range(MAX_REMEMBERED + 1):
        await once.once(request(str(number)), OWNER, b"", act)
    await once.once(request(str(MAX_REMEMBERED)), OWNER, b"", act)
    assert act.count == MAX_REMEMBERED + 1
    await once.once(request("0"), OWNER, b"", act)
    assert act.count == MAX_REMEMBERED + 2
