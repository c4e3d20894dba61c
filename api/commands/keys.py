"""``tickguard keys``: who may use the API."""

from typing import Annotated

import typer

from api.commands.common import Json, database, fail, load_settings, print_json
from engine.clock import SystemClock, iso_z
from engine.model.errors import TickguardError
from storage.keys import ApiKeys, KeyInfo
from storage.tables import Scope

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke API keys.\n\nExample: tickguard keys list",
)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[Scope, typer.Option(help="What it may do.")],
    json: Json = False,
) -> None:
    """Make a key and show it, once.

    Example: tickguard keys create --name dashboard --scope read
    """
    try:
        with database(load_settings()) as engine:
            made = ApiKeys(engine, SystemClock()).create(name, scope)
    except TickguardError as error:
        fail(str(error))
    if json:
        print_json({"id": made.id, "key": made.key})
    else:
        typer.echo(f"id:  {made.id}\nkey: {made.key}   (shown only now)")


@app.command(name="list")
def list_keys(json: Json = False) -> None:
    """List keys; the keys themselves are not stored.

    Example: tickguard keys list --json
    """
    try:
        with database(load_settings()) as engine:
            found = ApiKeys(engine, SystemClock()).list()
    except TickguardError as error:
        fail(str(error))
    if json:
        print_json({"items": [_row(key) for key in found]})
        return
    for row in (_row(key) for key in found):
        typer.echo("  ".join(str(value or "-") for value in row.values()))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    json: Json = False,
) -> None:
    """End a key for good.

    Example: tickguard keys revoke 4rzf2hxm5kq3s6w7d2bqv3l5ya
    """
    try:
        with database(load_settings()) as engine:
            revoked = ApiKeys(engine, SystemClock()).revoke(key_id)
    except TickguardError as error:
        fail(str(error))
    if not revoked:
        fail(f"no live key has the id {key_id}; `tickguard keys list` shows them")
    if json:
        print_json({"id": key_id, "revoked": True})
    else:
        typer.echo(f"revoked {key_id}")


def _row(key: KeyInfo) -> dict[str, str | None]:
    def moment(at_ns: int | None) -> str | None:
        return None if at_ns is None else iso_z(at_ns)

    return {
        "id": key.id,
        "name": key.name,
        "scope": str(key.scope),
        "prefix": key.prefix,
        "created_at": moment(key.created_at_ns),
        "last_used_at": moment(key.last_used_at_ns),
        "revoked_at": moment(key.revoked_at_ns),
    }
