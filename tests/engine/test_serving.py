import asyncio
import signal
import socket

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from engine.serving import EmbeddedServer


async def test_it_tells_when_it_listens_and_leaves_signals_to_their_owner() -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])
    server = EmbeddedServer(uvicorn.Config(app, log_config=None, lifespan="off"))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        async with asyncio.timeout(10):
            await server.listening.wait()
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(url)).text == "here"
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        server.should_exit = True
        async with asyncio.timeout(10):
            await serving
