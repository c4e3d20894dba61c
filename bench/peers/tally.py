"""What every peer's program does with the prices that its library hands on: count, and tell.

The result is ``prices`` (how many were handed on), ``ended_ns`` (monotonic, when the last one was),
``whole`` (whether that was the last one sent) and ``cpu_s`` (of this process, all threads, from the
last moment without a price). It is told by the very callback that the last price reaches, or once a
stream that began stays silent; the process then ends at once, since some libraries take seconds to
close, which is not measured. A stream that never begins is an error.
"""

import json
import os
import sys
import threading
import time
from typing import Any

LOOK_S = 0.02
SILENT_S = 3.0
START_S = 20.0


def arguments() -> dict[str, Any]:
    """The JSON object on standard input."""
    found: dict[str, Any] = json.load(sys.stdin)
    return found


class Tally:
    """Counts prices; ``last`` is the one that ends it, as the library hands it on."""

    def __init__(self, last: object) -> None:
        self.prices = 0
        self._last = last
        self._cpu_s = time.process_time()
        self._telling = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def take(self, price: object) -> None:
        """Count a price."""
        self.prices += 1
        if price == self._last:
            self._tell(time.monotonic_ns(), whole=True)

    def _watch(self) -> None:
        seen, changed_ns = 0, time.monotonic_ns()
        while time.monotonic_ns() - changed_ns < (SILENT_S if seen else START_S) * 1e9:
            time.sleep(LOOK_S)
            if self.prices != seen:
                seen, changed_ns = self.prices, time.monotonic_ns()
            elif not seen:
                self._cpu_s = time.process_time()
        if not seen:
            print(f"no price within {START_S:g} s", file=sys.stderr, flush=True)
            os._exit(1)
        self._tell(changed_ns, whole=False)

    def _tell(self, ended_ns: int, *, whole: bool) -> None:
        with self._telling:
            cpu_s = time.process_time() - self._cpu_s
            facts = {"prices": self.prices, "ended_ns": ended_ns, "whole": whole, "cpu_s": cpu_s}
            print(json.dumps(facts), flush=True)
            os._exit(0)
