"""``tickguard simulator``: the local exchange."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import structlog
import typer

from api.commands.common import Json, fail, load_settings, print_json
from engine import logs
from engine.clock import SystemClock
from engine.model.errors import TickguardError
from engine.simulator.server import SimulatorServer

log = structlog.get_logger(__name__)


def simulator(
    port: Annotated[int, typer.Option(help="Port of REST and control; 0 takes free ones.")] = 0,
    prices: Annotated[
        str | None,
        typer.Option(help="recorded, seeded, or a CSV file; recorded where recordings are."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of seeded prices.")] = 0,
    speed: Annotated[float, typer.Option(help="Multiplies the time of the prices.")] = 1.0,
    sent_log: Annotated[
        Path | None, typer.Option(help="File for a line of every frame that is sent.")
    ] = None,
    json: Json = False,
) -> None:
    """Serve the Bybit v5 and Binance protocols on loopback, from recorded or seeded prices.

    Example: tickguard simulator --prices seeded --seed 7 --speed 10
    """
    logs.configure()
    recordings = load_settings().tickguard_recorded
    chosen = prices or ("recorded" if recordings.is_dir() else "seeded")
    try:
        server = SimulatorServer(
            SystemClock(),
            prices=chosen,
            seed=seed,
            speed=speed,
            recordings=recordings,
            sent_log=sent_log,
            port=port,
        )
        asyncio.run(_serve(server, json))
    except TickguardError as error:
        fail(str(error))
    except ExceptionGroup as group:
        log.exception("simulator.failed", exc_info=group)
        raise typer.Exit(1) from None


async def _serve(server: SimulatorServer, json: bool) -> None:
    """Serve until a signal, or until the simulator fails."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        _announce(server, json)
        ended = asyncio.create_task(server.wait())
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if ended.done():
            ended.result()


def _announce(server: SimulatorServer, json: bool) -> None:
    if json:
        print_json({"urls": server.urls, "control": server.control_url, "keys": server.keys})
        return
    for name, value in server.urls.items():
        typer.echo(f"{name}={value}")
    typer.echo(f"control: {server.control_url}", err=True)
