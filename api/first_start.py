"""What the first start in a trading mode has to make sure of, outside what settings can say.

``DATA_DIR/trading_mode`` remembers in which mode the service last ran there: positions of play
money are not guarded with real orders, and real money is confirmed once.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

from engine.model.errors import Misconfigured
from engine.settings import Confirmation, Settings, TradingMode

log = structlog.get_logger(__name__)


def check_mode(settings: Settings, has_positions: Callable[[], bool]) -> None:
    """Make sure that the service may run in its mode on this ``DATA_DIR``, and remember it.

    Args:
        has_positions: tells whether the ledger holds positions that are not closed.

    Raises:
        Misconfigured: the message says what to set, or what to close first.
    """
    mode, path = settings.trading_mode, settings.data_dir / "trading_mode"
    former = _former(path)
    if former == mode:
        return
    if mode is TradingMode.LIVE and settings.live_confirmed is not Confirmation.YES:
        raise Misconfigured(
            "TRADING_MODE=live trades with real money: set LIVE_CONFIRMED=yes for the first start,"
            " or TRADING_MODE=paper"
        )
    if has_positions():
        raise Misconfigured(
            f"DATA_DIR={settings.data_dir} holds open positions of TRADING_MODE={former}, which"
            f" TRADING_MODE={mode} must not close: close them in that mode first,"
            f" or set another folder, as DATA_DIR=./data-{mode}"
        )
    try:
        path.write_text(f"{mode}\n")
    except OSError as error:
        raise Misconfigured(
            f"DATA_DIR={settings.data_dir} cannot be written to ({error.strerror}):"
            " choose another folder"
        ) from error
    log.info("mode.first_start", mode=str(mode), former=former)


def _former(path: Path) -> str:
    """Before the file was there, there was paper only."""
    try:
        return path.read_text().strip() or TradingMode.PAPER
    except OSError:
        return TradingMode.PAPER
