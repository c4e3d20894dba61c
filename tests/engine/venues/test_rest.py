import httpx
import pytest

from engine.model.errors import Retryable
from engine.venues.rest import RateLimited, get


async def ask(answer: httpx.Response | Exception) -> bytes:
    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await get(client, "http://venue/x", {"a": "b"})


async def test_the_body_of_a_good_answer_is_returned():
    assert await ask(httpx.Response(200, content=b"body")) == b"body"


@pytest.mark.parametrize("answer", [httpx.Response(502), httpx.ConnectTimeout("slow")])
async def test_failures_may_be_repeated(answer):
    with pytest.raises(Retryable):
        await ask(answer)


@pytest.mark.parametrize(
    ("status", "header", "pause"),
    [
        (429, "7", 7.0),
        (429, None, 60.0),
        (418, "soon", 300.0),
        (403, None, 600.0),
        (503, "2", 2.0),
    ],
)
async def test_a_rate_limit_says_how_long_to_be_silent(status, header, pause):
    headers = {"Retry-After": header} if header else {}
    with pytest.raises(RateLimited) as caught:
        await ask(httpx.Response(status, headers=headers))
    assert caught.value.pause_seconds == pause
