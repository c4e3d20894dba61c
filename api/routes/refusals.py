"""The event log's lines on refused requests: bounded in size and number, without secrets."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import structlog
from starlette.requests import Request

from api.auth import address_of
from api.problems import Problem
from api.webhook.redact import hide, redact
from api.webhook.throttle import Throttle
from engine.flow import Flow
from engine.model.effects import AppendEvent
from engine.model.errors import Retryable
from engine.ports import Clock

NOTED_BURST = 200
NOTED_PER_SECOND = 5.0
NOTE_WITHIN_S = 0.9
MAX_DATA_BYTES = 2048
_KNOWN_SENDER = (403, 404, 409, 422)
"""Statuses that only a caller with a valid credential meets."""

log = structlog.get_logger(__name__)


class Refusals:
    """Writes refusals down. Strangers get so many lines each; those left out are counted."""

    def __init__(self, flow: Flow, clock: Clock, secrets: Sequence[str]) -> None:
        self._flow = flow
        self._clock = clock
        self._secrets = tuple(secrets)
        self._throttle = Throttle(clock, NOTED_BURST, NOTED_PER_SECOND)
        self._skipped = 0

    async def note_signal(
        self, request: Request, problem: Problem, raw: bytes, source: str
    ) -> None:
        """Note a refused signal with the beginning of its body."""
        await self._note(request, problem, "signal.refused", source, self._body(raw))

    async def note_request(self, request: Request, problem: Problem, actor: str) -> None:
        """Note a refused call of the API."""
        route = getattr(request.scope.get("route"), "path", "")
        data = {"request": f"{request.method} {route}"}
        await self._note(request, problem, "request.refused", actor, data)

    def _body(self, raw: bytes) -> dict[str, Any]:
        return {"body": redact(raw, self._secrets)}

    async def _note(
        self, request: Request, problem: Problem, kind: str, actor: str, data: dict[str, Any]
    ) -> None:
        """Record one refusal; what storage does not take is only logged, the answer stands."""
        if problem.status >= 500:
            return
        address = address_of(request)
        is_stranger = problem.status not in _KNOWN_SENDER
        if problem.status == 429 or (is_stranger and not self._throttle.take(address)):
            self._skipped += 1
            return
        errors = [
            {"field": hide(e.field, self._secrets), "remedy": hide(e.remedy, self._secrets)}
            for e in problem.errors
        ]
        data |= {"status": problem.status, "errors": errors, "address": address}
        if self._skipped:
            data["skipped_before"], self._skipped = self._skipped, 0
        try:
            async with asyncio.timeout(NOTE_WITHIN_S):
                event = AppendEvent(kind, actor, self._clock.now_ns(), _bounded(data))
                await self._flow.record(event)
        except (Retryable, TimeoutError) as error:
            log.warning("refusal.not_recorded", kind=kind, status=problem.status, error=str(error))


def _bounded(data: dict[str, Any]) -> dict[str, Any]:
    """Leave errors out from the last on, then the end of the body, until the data is small."""
    data = {**data, "errors": list(data["errors"])}
    while _size(data) > MAX_DATA_BYTES:
        if len(data["errors"]) > 1:
            data["errors"].pop()
            data["errors_left_out"] = data.get("errors_left_out", 0) + 1
        elif data.get("body"):
            data["body"] = data["body"][: len(data["body"]) // 2]
        else:
            data["errors"] = []
            break
    return data


def _size(data: dict[str, Any]) -> int:
    return len(json.dumps(data))
