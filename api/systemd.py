"""How the service fares, told to systemd: ready, alive, stopping (sd_notify(3)).

A line of text to a datagram socket whose address stands in NOTIFY_SOCKET; elsewhere nobody is told.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping

import structlog

US_PER_S = 1_000_000
TOLD_WITHIN_NS = 2_000_000_000
"""How long ago the guardian may have been told the time: it is, ten times a second."""

log = structlog.get_logger(__name__)


class Manager:
    """The service manager, if there is one.

    Args:
        environ: NOTIFY_SOCKET is where to tell; WATCHDOG_USEC how often at least that we live.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._failed = False
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(watchdog_us) / US_PER_S if watchdog_us.isdecimal() else 0.0

    def tell(self, state: str) -> None:
        """Send a state, as ``READY=1``; a manager that cannot be told is logged once."""
        if not self._address:
            return
        # A leading @ stands for the zero byte of an abstract address.
        place = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(place)
                sock.send(state.encode())
        except OSError as error:
            if not self._failed:
                log.warning("systemd.not_told", state=state, error=str(error))
            self._failed = True

    async def watch(self, told_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        """Tell until cancelled that we live, three times as often as asked.

        Only while the guardian is told the time (``told_ns``, local monotonic): a loop that runs
        and a guard that stands still must not look alive.
        """
        while self._address and self.watchdog_s:
            if monotonic_ns() - told_ns() <= TOLD_WITHIN_NS:
                self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 3)
