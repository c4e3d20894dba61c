"""``tickguard doctor``: whether everything outside is as the guard needs it."""

import asyncio
import os
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from api.commands.common import Json, fail, print_json
from api.doctor.examination import examine
from api.doctor.findings import Finding, Grade
from engine import logs
from engine.clock import SystemClock
from engine.model.errors import Misconfigured
from engine.settings import ENV_FILE, Settings
from engine.settings_file import read_env_file

TOKEN = "TELEGRAM_BOT_TOKEN"  # noqa: S105 - the setting's name
ADDRESS = "TELEGRAM_API_URL"
STYLES = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.BAD: "bold red"}


def doctor(json: Json = False) -> None:
    """Check exchanges, keys, clock and Telegram, with a remedy for whatever is wrong.

    Example: tickguard doctor
    """
    logs.configure()
    try:
        settings = Settings.load(unread={TOKEN, ADDRESS})
    except Misconfigured as error:
        fail(str(error))
    token, address = _given(TOKEN), _given(ADDRESS) or settings.telegram_api_url
    found = asyncio.run(examine(settings, SystemClock(), token, address))
    ok = all(finding.grade is not Grade.BAD for finding in found)
    if json:
        mode, rows = str(settings.trading_mode), [_row(finding) for finding in found]
        print_json({"ok": ok, "mode": mode, "findings": rows})
    else:
        _show(found)
    if not ok:
        raise typer.Exit(1)


def _given(name: str) -> str | None:
    """Return a setting that is not read with the others, by the same rule."""
    text = os.environ.get(name, "") or read_env_file(Path(ENV_FILE)).values.get(name, "")
    return text.strip() or None


def _row(finding: Finding) -> dict[str, str]:
    return {
        "where": finding.where,
        "check": finding.check,
        "grade": str(finding.grade),
        "detail": finding.detail,
        "remedy": finding.remedy,
    }


def _show(found: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("where", "check", "", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in found:
        grade = f"[{STYLES[finding.grade]}]{finding.grade}[/]"
        table.add_row(finding.where, finding.check, grade, finding.detail, finding.remedy)
    Console().print(table)
