"""Public REST requests of the venues: bounded, typed, and failing as ``Retryable``."""

from collections.abc import Mapping

import httpx

from engine.model.errors import Retryable

REQUEST_TIMEOUT_SECONDS = 20.0


class RateLimited(Retryable):
    """The venue asked for silence. ``pause_seconds`` is how long no request may be sent."""

    def __init__(self, message: str, pause_seconds: float) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


DEFAULT_PAUSE_SECONDS: Mapping[int, float] = {403: 600.0, 418: 300.0, 429: 60.0}
"""For answers without ``Retry-After``: Bybit's 403 is a ban of at least 10 minutes by address."""


async def get(client: httpx.AsyncClient, url: str, params: Mapping[str, str]) -> bytes:
    """Return the body of a successful answer.

    Raises:
        RateLimited: the venue asked to stop for a while.
        Retryable: unreachable, timed out, or answered with another error.
    """
    try:
        answer = await client.get(url, params=dict(params), timeout=REQUEST_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise Retryable(f"{url}: {type(error).__name__}: {error}") from error
    if answer.status_code == httpx.codes.OK:
        return answer.content
    pause_seconds = _pause_seconds(answer)
    if pause_seconds is not None:
        raise RateLimited(f"{url}: HTTP {answer.status_code}", pause_seconds)
    raise Retryable(f"{url}: HTTP {answer.status_code}: {answer.text[:200]}")


def _pause_seconds(answer: httpx.Response) -> float | None:
    """Return how long an error answer asks for silence; None where it does not."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else DEFAULT_PAUSE_SECONDS.get(answer.status_code)
