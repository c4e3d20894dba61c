"""``tickguard simulate``: lifetimes of the guardian under every fault, each drawn from a number."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from msgspec import Struct

from api.commands.common import Json, fail, print_json
from api.commands.demo import recordings
from api.simulated_books import sql_books
from engine import logs
from engine.simulation.catalogue import as_markdown, with_tables
from engine.simulation.catalogue_rows import FAULTS, INVARIANTS
from engine.simulation.outcome import Outcome
from engine.simulation.pool import run_seeds
from engine.simulation.report import Report, Tally, report_lines
from engine.simulation.sabotage.registry import SABOTAGES, near_names
from engine.simulation.seeds import SeedRun
from engine.simulation.shrink import told_plan
from engine.simulation.trace import Trace

SABOTAGE_SEEDS = 2_000
"""How many seeds a defect has to be caught within, unless told otherwise."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CLEAR_LINE = "\r\x1b[K"
PROGRESS_S = 0.5


class _Asked(Struct, frozen=True):
    """What was asked for on the command line."""

    first: int
    seeds: int | None
    jobs: int
    json: bool


def simulate(
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many; without it until Ctrl-C.")
    ] = None,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are processors.")
    ] = None,
    sabotage: Annotated[
        str | None,
        typer.Option(help="Run with one deliberate defect until it is caught; `list` shows all."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print the story of one seed.")] = False,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Leave out of one failing seed what it fails without.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(hidden=True, help="Write the tables of coverage into a document.")
    ] = None,
    json: Json = False,
) -> None:
    """Live through many lifetimes under every fault, and judge each by the venues' own books.

    Example: tickguard simulate --seeds 1000
    """
    if table is not None:
        _write_tables(table)
        return
    if sabotage == "list":
        _list_sabotages(json)
        return
    if sabotage is not None and sabotage not in SABOTAGES:
        near = ", ".join(near_names(sabotage)) or "`--sabotage list` shows all"
        raise typer.BadParameter(f"{sabotage!r} is no sabotage; near it: {near}")
    if (trace or shrink) and seeds != 1:
        raise typer.BadParameter("--trace and --shrink are of one seed: add --seeds 1")
    asked = _Asked(first, seeds, jobs or os.cpu_count() or 1, json)
    with sql_books() as books:
        run = SeedRun(sabotage, books, recordings(Path()))
        if trace:
            _tell_story(run, asked)
        elif shrink:
            _shrink(run, asked)
        elif sabotage is not None:
            _catch(run, asked)
        else:
            _prove(run, asked)


def run_quietly(run: SeedRun, seeds: Sequence[int]) -> list[Outcome]:
    """Run seeds without the service's log, in whatever process this is."""
    _silence()
    return run(seeds)


@cache
def _silence() -> None:
    """A simulated service logs every fault that it survives; nobody reads that."""
    logs.configure(level=logging.CRITICAL)


# Many seeds


def _prove(run: SeedRun, asked: _Asked) -> None:
    tally, begun_s = Tally(asked.first, run.sabotage), time.monotonic()
    for outcome in _outcomes(run, asked, asked.seeds):
        tally.add(outcome)
    report = tally.report(time.monotonic() - begun_s)
    _print(report, {}, json=asked.json)
    if report.violations:
        raise typer.Exit(1)


def _catch(run: SeedRun, asked: _Asked) -> None:
    """Run until a check catches the defect in a seed that is clean without it."""
    tally, begun_s = Tally(asked.first, run.sabotage), time.monotonic()
    clean, caught = SeedRun(None, run.books, run.recordings), None
    for outcome in _outcomes(run, asked, asked.seeds or SABOTAGE_SEEDS):
        tally.add(outcome)
        if outcome.violations and not run_quietly(clean, [outcome.seed])[0].violations:
            first = outcome.violations[0]
            caught = {
                "seed": outcome.seed,
                "invariant": first.invariant,
                "message": first.message,
                "seeds": tally.seeds,
            }
            break
    report = tally.report(time.monotonic() - begun_s)
    _print(report, {"sabotage": run.sabotage, "caught": caught}, json=asked.json)
    if caught is None:
        raise typer.Exit(1)


def _outcomes(run: SeedRun, asked: _Asked, seeds: int | None) -> Iterator[Outcome]:
    """Yield outcomes in seed order until all are there or a signal asks for the end."""
    show = _is_watched()
    begun_s = shown_s = time.monotonic()
    with _stopped() as is_stopped:
        quiet = partial(run_quietly, run)
        found = run_seeds(quiet, asked.first, seeds, asked.jobs, is_stopped)
        try:
            for number, outcome in enumerate(found, 1):
                now_s = time.monotonic()
                if show and now_s - shown_s >= PROGRESS_S:
                    shown_s, rate = now_s, number / (now_s - begun_s)
                    whole = "" if seeds is None else f" of {seeds}"
                    line = f"{CLEAR_LINE}{number}{whole} seeds, {rate:.0f} a second"
                    typer.echo(line, err=True, nl=False)
                yield outcome
        finally:
            if show:
                typer.echo(CLEAR_LINE, err=True, nl=False)


def _is_watched() -> bool:
    return sys.stderr.isatty()


@contextmanager
def _stopped() -> Iterator[Callable[[], bool]]:
    """Take the signals that ask for the end; the report is of what was done by then."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(report: Report, more: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json({**report.as_json(), **more})
        return
    for line in report_lines(report):
        typer.echo(line)
    if "sabotage" in more:
        caught = more["caught"]
        if caught is None:
            typer.echo(f"NOT CAUGHT: {more['sabotage']}")
        else:
            place = f"seed {caught['seed']} by {caught['invariant']}"
            typer.echo(f"caught {more['sabotage']} in {place}: {caught['message']}")


# One seed


def _tell_story(run: SeedRun, asked: _Asked) -> None:
    _silence()
    story = Trace()
    begun_s = time.monotonic()
    outcome = run.tell(asked.first, story)
    for line in story.lines():
        typer.echo(line, err=asked.json)
    tally = Tally(asked.first, run.sabotage)
    tally.add(outcome)
    report = tally.report(time.monotonic() - begun_s)
    if asked.json:
        print_json(report.as_json())
    else:
        typer.echo(f"trace hash {outcome.trace_hash}")
        for broken in outcome.violations:
            typer.echo(
                f"FAILED at {broken.at_ns / 1e9:.3f} s, {broken.invariant}: {broken.message}"
            )
    if outcome.violations:
        raise typer.Exit(1)


def _shrink(run: SeedRun, asked: _Asked) -> None:
    """Print the smallest plan that fails as the seed does; exit 1, since it fails."""
    _silence()
    tried: list[None] = []
    plan = run.smallest(asked.first, lambda: tried.append(None))
    if plan is None:
        fail(f"seed {asked.first} breaks nothing")
    lines = list(told_plan(plan))
    if asked.json:
        print_json({"seed": asked.first, "runs": len(tried), "plan": lines})
    else:
        typer.echo("\n".join([*lines, f"found in {len(tried)} runs"]))
    raise typer.Exit(1)


# Documents


def _list_sabotages(json: bool) -> None:
    if json:
        print_json({"items": [{"name": s.name, "says": s.says} for s in SABOTAGES.values()]})
        return
    width = max(map(len, SABOTAGES))
    for each in SABOTAGES.values():
        typer.echo(f"{each.name:{width}}  {each.says}")


def _write_tables(path: Path) -> None:
    try:
        document = path.read_text(encoding="utf-8")
        written = with_tables(document, as_markdown(FAULTS, INVARIANTS))
        path.write_text(written, encoding="utf-8")
    except (OSError, ValueError) as error:
        fail(str(error))
