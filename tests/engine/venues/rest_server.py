"""A venue's REST address on loopback, steered by the test: real sockets, scripted answers."""

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.serving import EmbeddedServer


class Scripted(NamedTuple):
    """An answer as a test wants it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] | None = None


class RestServer:
    """Answers each path as scripted, 404 where nothing is.

    Attributes:
        asked: the query of every request received, by its path.
        silent: paths that are not answered before the server ends.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.silent: set[str] = set()
        self.url = ""
        self._answers: dict[str, Scripted] = {}
        self._over = asyncio.Event()

    def answer(
        self, path: str, body: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Script a path; a body that is no bytes is written as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._answers[path] = Scripted(status, raw, headers)

    def answer_all(self, status: int, body: Any = b"", **headers: str) -> None:
        """Script all paths alike; ``retry_after`` is the header of that name."""
        for path in self._answers:
            self.answer(path, body, status, {k.replace("_", "-"): v for k, v in headers.items()})

    @property
    def count(self) -> int:
        return sum(map(len, self.asked.values()))

    async def _endpoint(self, request: Request) -> Response:
        path = request.url.path
        self.asked[path].append(dict(request.query_params))
        if path in self.silent:
            await self._over.wait()
        scripted = self._answers.get(path, Scripted(404))
        return Response(scripted.body, scripted.status, scripted.headers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RestServer"]:
        app = Starlette(routes=[Route("/{path:path}", self._endpoint)])
        config = uvicorn.Config(app, ws="none", log_config=None, lifespan="off")
        server = EmbeddedServer(config)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            task = asyncio.create_task(server.serve(sockets=[sock]))
            await server.listening.wait()
            try:
                yield self
            finally:
                self._over.set()
                server.should_exit = True
                await task
