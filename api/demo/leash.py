"""The command ``tickguard`` on a leash: it ends when whoever holds its standard input is gone.

However the demo ends, SIGKILL included, its end of the pipe is closed by the system, so no process
of the demo outlives it.
"""

import os
import signal
import threading
import time

from api.cli import main

STDIN = 0
PATIENCE_S = 10.0


def _end_when_let_go() -> None:
    # Not by sys.stdin: an interpreter that ends while a thread holds its lock aborts.
    while os.read(STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_when_let_go, daemon=True).start()
    main()
