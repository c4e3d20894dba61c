"""The heartbeat: an outside monitor hears each minute that every open position is guarded.

Silence is the alarm, so nothing is said while anything is not as it should be: a dead host, a
lost feed and a position that is not armed look alike from there, and each is worth a call.
"""

import asyncio

import httpx
import structlog

from api.runtime import Runtime
from engine.flow import Flow
from engine.model.position import GuardStatus

PERIOD_S = 60.0
TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


async def keep_beating(runtime: Runtime) -> None:
    """Call HEARTBEAT_URL each minute until cancelled; without one there is nothing to do."""
    secret = runtime.settings.heartbeat_url
    if secret is None:
        return
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        heartbeat = Heartbeat(secret.get_secret_value(), runtime.flow, client)
        while True:
            await heartbeat.beat()
            await asyncio.sleep(PERIOD_S)


class Heartbeat:
    """Calls one address. It may hold a token, so neither it nor an error's text is logged."""

    def __init__(self, url: str, flow: Flow, client: httpx.AsyncClient) -> None:
        self._url = url
        self._flow = flow
        self._client = client
        self._withheld = False
        self._failing = False

    async def beat(self) -> None:
        """Call the address if every open position is guarded; raises nothing."""
        problems = unguarded(self._flow)
        if problems:
            if not self._withheld:
                log.warning("heartbeat.withheld", problems=problems)
            self._withheld = True
            return
        self._withheld = False
        error = await self._call()
        if error is None:
            if self._failing:
                log.info("heartbeat.heard")
        elif not self._failing:
            log.warning("heartbeat.failing", error=error)
        self._failing = error is not None

    async def _call(self) -> str | None:
        """Say that all is well; returns why nobody heard it."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client.stream("GET", self._url) as answer:
                return None if answer.is_success else f"status {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return type(error).__name__


def unguarded(flow: Flow) -> list[str]:
    """Return why the guard is not complete, by what ``/ready`` says and position by position."""
    loose = [
        f"{position.guard}: position {position.id}"
        for position in flow.positions()
        if position.qty_open and position.guard is not GuardStatus.ARMED
    ]
    return [*flow.problems(), *loose]
