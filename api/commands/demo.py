"""``tickguard demo``: the whole flow on a local exchange simulator, checked independently."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from api.commands.common import Json, fail, print_json
from api.demo.driver import Course
from api.demo.screen import Screen, print_lines, print_outcome
from api.demo.stage import DemoFailed
from api.demo.summary import Notes, Outcome, verify, write_notes
from engine.clock import SystemClock
from engine.settings import ENV_FILE, Settings
from engine.settings_file import read_env_file

RECORDED = "TICKGUARD_RECORDED"
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    json: Json = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep databases, logs and sent frames in this new folder.")
    ] = None,
    verify_only: Annotated[
        Path | None, typer.Option("--verify", help="Only judge a folder that --keep left.")
    ] = None,
) -> None:
    """Show the whole flow in under a minute: no keys, no network, nothing left behind.

    Example: tickguard demo
    """
    if keep is not None and verify_only is not None:
        raise typer.BadParameter("--keep and --verify cannot go together")
    try:
        if verify_only is None:
            _play(keep, json)
        else:
            _report(verify(verify_only), json, verify_only)
    except DemoFailed as error:
        fail(str(error))


def _play(keep: Path | None, json: bool) -> None:
    """Play the demo in a folder, which stays if it was asked for, or holds what went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="tickguard-demo-")) if keep is None else _new(keep)
    stays = keep is not None
    try:
        _run_course(folder, json)
        outcome = verify(folder)
        stays = stays or not outcome.summary["ok"]
        _report(outcome, json, folder)
    except DemoFailed as error:
        stays = True
        raise DemoFailed(f"{error}\nlogs are kept in {folder}") from error
    finally:
        if not stays:
            shutil.rmtree(folder, ignore_errors=True)


def _new(folder: Path) -> Path:
    """Make a folder; old files in it would be judged with the new ones."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise typer.BadParameter(f"--keep {folder}: {error.strerror}") from None
    if used:
        raise typer.BadParameter(f"--keep {folder} holds files already; name a new folder")
    return folder.resolve()


def _run_course(folder: Path, json: bool) -> None:
    begun_ns = time.monotonic_ns()
    clock = SystemClock()
    recorded = recordings(Path())
    if sys.stdout.isatty() and not json:
        with Screen(_console()) as screen:
            course = Course(folder, recorded, screen.tell, screen.show)
            asyncio.run(_until_interrupted(course))
    else:
        course = Course(folder, recorded, lambda message: typer.echo(message, err=json))
        asyncio.run(_until_interrupted(course))
    notes = Notes(
        epoch_offset_ns=clock.now_ns() - clock.monotonic_ns(),
        windows=course.windows,
        restarted=course.restarted,
        duration_s=(time.monotonic_ns() - begun_ns) / 1e9,
    )
    write_notes(folder, notes)


def recordings(directory: Path) -> Path | None:
    """The folder of recordings, if there is one.

    It is all that the demo takes from the user's settings; the others may be wrong, or not yet
    made.
    """
    default = str(Settings.model_fields["tickguard_recorded"].default)
    in_file = read_env_file(directory / ENV_FILE).values.get(RECORDED)
    named = os.environ.get(RECORDED) or in_file or default
    folder = (directory / Path(named).expanduser()).resolve()
    return folder if folder.is_dir() else None


async def _until_interrupted(course: Course) -> None:
    """Run the course. The first signal ends it in order; further ones do not hurry that."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in INTERRUPTS:
        loop.add_signal_handler(number, asked.set)
    running = asyncio.create_task(course.run())
    interrupted = asyncio.create_task(asked.wait())
    await asyncio.wait({running, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    interrupted.cancel()
    if not running.done():
        running.cancel()
        await asyncio.wait({running})
        fail("interrupted")
    await running


def _console() -> Console:
    # Nothing of ours is markup: [brackets] and :colons: are as they stand.
    return Console(markup=False, emoji=False)


def _report(outcome: Outcome, json: bool, where: Path) -> None:
    """Show the outcome, and end with 1 unless all holds."""
    if json:
        print_json(outcome.summary)
        for complaint in outcome.complaints:
            typer.echo(f"WRONG: {complaint}", err=True)
    elif sys.stdout.isatty():
        print_outcome(_console(), outcome, str(where))
    else:
        print_lines(_console(), outcome, str(where))
    if not outcome.summary["ok"]:
        raise typer.Exit(1)
