"""``Idempotency-Key`` on calls that act: one key, one act, one answer, while the process lives."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.problems import wrong_field

HEADER = "Idempotency-Key"
MAX_REMEMBERED = 4096
MAX_KEY_LENGTH = 200


class _Answer(Struct):
    digest: bytes
    turn: asyncio.Lock
    response: Response | None = None


class Idempotency:
    """Remembers answers by caller, address and key; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str, str], _Answer] = OrderedDict()

    async def once(
        self, request: Request, caller: Caller, raw: bytes, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Act, or return the answer to the same request under the same key.

        What raised is not remembered: it may be tried again under its key.

        Raises:
            Problem: 422 for a key that was used with another body.
        """
        key = request.headers.get(HEADER)
        if not key:
            return await act()
        if len(key) > MAX_KEY_LENGTH:
            raise wrong_field(HEADER, f"give at most {MAX_KEY_LENGTH} characters")
        name = (caller.actor, request.url.path, key)
        answer = self._answer(name, raw)
        async with answer.turn:
            if answer.response is None:
                try:
                    answer.response = await act()
                except BaseException:
                    self._answers.pop(name, None)
                    raise
            return answer.response

    def _answer(self, key: tuple[str, str, str], raw: bytes) -> _Answer:
        digest = hashlib.sha256(raw).digest()
        answer = self._answers.setdefault(key, _Answer(digest, asyncio.Lock()))
        if answer.digest != digest:
            raise wrong_field(HEADER, "this key was used with another body; give a new one")
        if len(self._answers) > MAX_REMEMBERED:
            self._answers.popitem(last=False)
        return answer
