"""``tickguard run``: the service."""

import asyncio
import signal
from contextlib import ExitStack

import structlog
import typer
from sqlalchemy import Engine

from api.commands.common import Json, database, fail, load_settings, print_json
from api.first_start import check_mode
from api.main import serve
from api.secrets import ADMIN_KEY_NAME, FirstStart, ensure_secrets
from engine import logs
from engine.clock import SystemClock
from engine.connections import raise_descriptors
from engine.model.errors import TickguardError
from engine.settings import Settings
from storage.database import sqlite_file
from storage.keys import ApiKeys
from storage.lock import data_dir_lock, database_lock
from storage.queries import Queries
from storage.tables import Scope

log = structlog.get_logger(__name__)


def run(json: Json = False) -> None:
    """Guard positions: feeds, guardian, storage and API in one process, until SIGTERM or Ctrl-C.

    Example: tickguard run
    """
    raise_descriptors()
    settings = load_settings()
    redactor = logs.configure(settings.secret_values())
    logs.catch_uncaught()
    clock = SystemClock()
    with ExitStack() as stack:
        try:
            stack.enter_context(data_dir_lock(settings.data_dir, clock.now_ns()))
            engine = stack.enter_context(database(settings))
            path = sqlite_file(engine)
            if path is not None:
                stack.enter_context(database_lock(path, clock.now_ns()))
            keys = ApiKeys(engine, clock)
            first = ensure_secrets(
                settings,
                has_keys=lambda: any(key.revoked_at_ns is None for key in keys.list()),
                create_admin_key=lambda: keys.create(ADMIN_KEY_NAME, Scope.ADMIN).key,
            )
            check_mode(first.settings, lambda: bool(Queries(engine).positions("active", 1).items))
            redactor.learn(*first.settings.secret_values())
            _show_once(first)
            failed = asyncio.run(_serve(first.settings, engine, clock, json))
        except TickguardError as error:
            fail(str(error))
    if failed:
        raise typer.Exit(1)


def _show_once(first: FirstStart) -> None:
    """Tell the owner what was made; nothing of it can be shown again."""
    if first.webhook_secret is not None:
        typer.echo(f"WEBHOOK_SECRET made and written to .env: {first.webhook_secret}", err=True)
    if first.admin_key is not None:
        typer.echo(f"API key made (scope admin), shown only now: {first.admin_key}", err=True)


async def _serve(settings: Settings, engine: Engine, clock: SystemClock, json: bool) -> bool:
    """Run until a signal; True when a part of the service failed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready(url: str) -> None:
        if json:
            facts = {"url": url, "mode": settings.trading_mode, "venues": list(settings.venues)}
            print_json(facts)
        else:
            typer.echo(f"Tickguard guards on {settings.trading_mode}: {url}", err=True)

    try:
        await serve(settings, engine, clock, stop, ready)
    except ExceptionGroup as group:
        log.exception("service.failed", exc_info=group)
        return True
    return False
