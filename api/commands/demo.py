"""``tickguard demo``: the whole flow on a local exchange simulator, checked independently."""

import asyncio
import shutil
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
from engine.settings import Settings


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
    if verify_only is not None:
        outcome = verify(verify_only)
        _show(outcome, json, str(verify_only))
        raise typer.Exit(0 if outcome.summary["ok"] else 1)
    folder = Path(tempfile.mkdtemp(prefix="tickguard-demo-")) if keep is None else keep
    folder.mkdir(parents=True, exist_ok=True)
    try:
        outcome = _play(folder.resolve(), json)
    except DemoFailed as error:
        fail(f"{error}\nlogs are kept in {folder}")
    _show(outcome, json, str(folder))
    if not outcome.summary["ok"]:
        raise typer.Exit(1)
    if keep is None:
        shutil.rmtree(folder)


def _play(folder: Path, json: bool) -> Outcome:
    recorded = Settings.load(directory=None).tickguard_recorded.resolve()
    course_recorded = recorded if recorded.is_dir() else None
    live = sys.stdout.isatty() and not json
    begun_ns = time.monotonic_ns()
    clock = SystemClock()
    if live:
        with Screen(Console()) as screen:
            course = Course(folder, course_recorded, screen.tell, screen.show)
            asyncio.run(course.run())
    else:
        course = Course(folder, course_recorded, lambda message: _line(message, json))
        asyncio.run(course.run())
    notes = Notes(
        epoch_offset_ns=clock.now_ns() - clock.monotonic_ns(),
        windows=course.windows,
        restarted=course.restarted,
        duration_s=(time.monotonic_ns() - begun_ns) / 1e9,
    )
    write_notes(folder, notes)
    return verify(folder)


def _line(message: str, json: bool) -> None:
    typer.echo(message, err=json)


def _show(outcome: Outcome, json: bool, where: str) -> None:
    if json:
        print_json(outcome.summary)
        for complaint in outcome.complaints:
            typer.echo(f"WRONG: {complaint}", err=True)
    elif sys.stdout.isatty():
        print_outcome(Console(), outcome, where)
    else:
        print_lines(Console(), outcome, where)
