"""The simulator's HTTP connections, so that one can be cut without an answer."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr


class Connections:
    """The open connections by the client's address and port."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return the protocol class that notes its connections here."""
        transports = self._transports

        class Noting(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                client = get_remote_addr(transport)
                if client is not None:
                    transports[client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        return Noting

    def cut(self, scope: Mapping[str, Any]) -> None:
        """Drop the connection that a request came by: its client reads an end, and no answer."""
        client = cast(tuple[str, int], tuple(scope["client"]))
        transport = self._transports.pop(client, None)
        if transport is not None:
            transport.abort()
