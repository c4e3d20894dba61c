"""What commands share: settings and database at hand, output for people and for programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from sqlalchemy import Engine

from engine.model.errors import Misconfigured
from engine.settings import Settings
from storage.database import open_database, upgrade

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def load_settings() -> Settings:
    """Read the settings, or end the command with what is wrong with them."""
    try:
        settings = Settings.load()
    except Misconfigured as error:
        fail(str(error))
    for warning in settings.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return settings


@contextmanager
def database(settings: Settings) -> Iterator[Engine]:
    """Open the ledger's database, migrated to this version."""
    engine = open_database(settings.database_url)
    try:
        upgrade(engine)
        yield engine
    finally:
        engine.dispose()


def print_json(value: Any) -> None:
    """Write one JSON object on standard output, at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with a message."""
    for line in message.splitlines():
        typer.echo(f"error: {line}", err=True)
    raise typer.Exit(code)
