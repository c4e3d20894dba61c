"""An HTTP server as one part of a larger process."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from engine.connections import OncePer

# asyncio accepts a backlog's worth of connections at a stroke, before the first of them can be
# counted or closed; and without descriptors it logs an error for each of them, again and again.
ACCEPTED_AT_ONCE = 16
LISTEN_BACKLOG = 2048
REPEATED_EVERY_S = 10.0
REPEATED = {
    "asyncio": "socket.accept() out of system resource",
    "uvicorn.error": "Invalid HTTP request received.",
}


class EmbeddedServer(uvicorn.Server):
    """uvicorn that tells when it listens, and leaves signals to the process's owner."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        config.backlog = ACCEPTED_AT_ONCE
        self.listening = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to exit; what any peer can provoke is logged now and then only."""
        with contextlib.ExitStack() as stack:
            for name, text in REPEATED.items():
                logger, rare = logging.getLogger(name), OncePer(text, REPEATED_EVERY_S)
                logger.addFilter(rare)
                stack.callback(logger.removeFilter, rare)
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or ():
            sock.listen(LISTEN_BACKLOG)  # the system's queue stays long: who waits there is cheap
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
