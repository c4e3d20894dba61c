"""``tickguard record``: live streams into files that the simulator plays."""

import asyncio
import contextlib
import logging
import math
import shlex
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer

from api.commands.common import Json, fail, load_settings, print_json
from api.wiring import feed_connector, venue_urls
from engine import logs
from engine.clock import SystemClock
from engine.model.errors import Retryable, TickguardError
from engine.model.instrument import InstrumentId
from engine.settings import Settings
from engine.venues.recorder import Recorder
from engine.venues.recorder_files import Recording

SECONDS_PER_MINUTE = 60
FOLDER = "recorded"
CLEAR_LINE = "\r\x1b[K"

log = structlog.get_logger(__name__)

T = TypeVar("T")


def record(
    instrument: Annotated[
        list[str], typer.Option(help="venue:market:symbol; give it once for each instrument.")
    ],
    minutes: Annotated[float, typer.Option(help="How long; Ctrl-C ends it earlier.")],
    out: Annotated[
        Path | None, typer.Option(help=f"Folder for the files; DATA_DIR/{FOLDER} unless given.")
    ] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress the files at the end.")] = False,
    json: Json = False,
) -> None:
    """Write the frames of live streams as they arrive, to be played by the simulator.

    Example: tickguard record --instrument bybit:linear:BTCUSDT --minutes 10
    """
    wanted = [_parse(text) for text in instrument]
    if not 0 < minutes < math.inf:
        raise typer.BadParameter("give a number above 0", param_hint="'--minutes'")
    settings = load_settings()
    progress = sys.stderr.isatty()
    # Over the progress line only what is wrong is told.
    logs.configure(settings.secret_values(), level=logging.WARNING if progress else logging.INFO)
    clock = SystemClock()
    try:
        recorder = Recorder(
            out or settings.data_dir / FOLDER,
            {venue: venue_urls(settings, venue) for venue in _venues(wanted, settings)},
            clock,
            settings.stale_feed_seconds,
            feed_connector(settings, clock),
            compress=gzip,
        )
        seconds = asyncio.run(_record(recorder, wanted, minutes * SECONDS_PER_MINUTE, progress))
    except Retryable as error:
        fail(f"{error}\nnothing was recorded: check the network and the addresses, then try again")
    except TickguardError as error:
        fail(str(error))
    except ExceptionGroup as group:
        log.exception("record.failed", exc_info=group)
        raise typer.Exit(1) from None
    _tell(recorder.recording, seconds, json)
    heard = {stream.instrument for stream in recorder.recording.streams}
    if silent := [str(each) for each in dict.fromkeys(wanted) if each not in heard]:
        fail(f"no frame came for {', '.join(silent)}; record for longer, or see the log for why")


def _parse(text: str) -> InstrumentId:
    try:
        return InstrumentId.parse(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not venue:market:symbol, as bybit:linear:BTCUSDT or binance:spot:BTCUSDT",
            param_hint="'--instrument'",
        ) from None


def _venues(wanted: Sequence[InstrumentId], settings: Settings) -> list[str]:
    for each in wanted:
        if each.venue not in settings.venues:
            fail(
                f"--instrument {each}: {each.venue} is none of VENUES={','.join(settings.venues)}; "
                "take one of these, or add it there"
            )
    return list(dict.fromkeys(each.venue for each in wanted))


async def _record(
    recorder: Recorder, wanted: Sequence[InstrumentId], seconds: float, progress: bool
) -> float:
    """Record until the time is over or a signal comes; returns the seconds it took."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    instruments = await _unless(stop, recorder.load(wanted))
    if instruments is None:
        return 0.0

    def show() -> None:
        heard = sum(stream.heard for stream in recorder.recording.streams)
        line = f"recording: {recorder.elapsed_seconds():.0f} of {seconds:.0f} s, {heard} frames"
        typer.echo(f"{CLEAR_LINE}{line}", err=True, nl=False)

    try:
        return await recorder.run(instruments, stop, seconds, show if progress else None)
    finally:
        if progress:
            typer.echo(CLEAR_LINE, err=True, nl=False)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Wait for work to be done, or give it up with None when ``stop`` is set."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return None


def _tell(recording: Recording, seconds: float, json: bool) -> None:
    files = recording.files()
    frames = sum(files.values())
    directory = str(recording.directory.resolve())
    if json:
        rows = [{"name": name, "frames": count} for name, count in files.items()]
        took = round(seconds, 3)
        print_json({"directory": directory, "files": rows, "frames": frames, "seconds": took})
        return
    for name, count in files.items():
        typer.echo(f"{count:8}  {name}")
    typer.echo(f"{frames:8}  frames in {seconds:.0f} s")
    if files:
        play = "tickguard simulator --prices recorded"
        typer.echo(f"play them: TICKGUARD_RECORDED={shlex.quote(directory)} {play}")
