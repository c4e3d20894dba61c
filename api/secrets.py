"""First start: what lets senders and the owner in. Made on paper, asked for everywhere else.

Nothing is printed here: the caller shows the returned values once.
"""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct
from pydantic import SecretStr

from engine.model.errors import Misconfigured
from engine.settings import ENV_FILE, Settings, TradingMode
from engine.settings_file import OWNER_ONLY, parse_env

SECRET_NAME: Final = "WEBHOOK_SECRET"  # noqa: S105 - the setting's name
SECRET_BYTES: Final = 32
ADMIN_KEY_NAME: Final = "first-start"

MAKE_SECRET: Final = (
    f"python3 -c 'import secrets; print(\"{SECRET_NAME}=\" + secrets.token_hex({SECRET_BYTES}))'"
    f" >> {ENV_FILE}"
)
MAKE_KEY: Final = "tickguard keys create --name admin --scope admin"

_EMPTY_LINE: Final = re.compile(
    rf"((?:export[ \t]+)?'?{SECRET_NAME}'?[ \t]*=)[ \t]*(?:''|\"\")?"
    r"(?P<comment>[ \t]*#[^\r\n]*)?(?=[ \t]*(?:\r|\n|\Z))"
)


class FirstStart(Struct, frozen=True):
    """What was made, to be shown once; None for what was there already.

    ``settings`` holds the webhook secret in either case.
    """

    settings: Settings
    webhook_secret: str | None = None
    admin_key: str | None = None


def ensure_secrets(
    settings: Settings,
    *,
    has_keys: Callable[[], bool],
    create_admin_key: Callable[[], str],
    directory: Path | None = None,
) -> FirstStart:
    """Make the webhook secret and the first API key if they are missing.

    Args:
        has_keys: tells whether any API key exists.
        create_admin_key: makes a key of scope admin and returns it.
        directory: where ``.env`` lies; the working directory unless given.

    Raises:
        Misconfigured: one is missing outside paper, or ``.env`` cannot be written.
    """
    needs_secret = settings.webhook_secret is None
    needs_key = not has_keys()
    if settings.trading_mode is not TradingMode.PAPER:
        _refuse(settings.trading_mode, needs_secret, needs_key)
        return FirstStart(settings)
    made = None
    if needs_secret:
        made = secrets.token_hex(SECRET_BYTES)
        write_secret((directory or Path()) / ENV_FILE, made)
        settings = settings.model_copy(update={"webhook_secret": SecretStr(made)})
    return FirstStart(settings, made, create_admin_key() if needs_key else None)


def _refuse(mode: str, needs_secret: bool, needs_key: bool) -> None:
    missing = []
    if needs_secret:
        missing.append(
            f"{SECRET_NAME} is not set, and TRADING_MODE={mode} makes none: {MAKE_SECRET}"
        )
    if needs_key:
        missing.append(f"there is no API key, and TRADING_MODE={mode} makes none: {MAKE_KEY}")
    if missing:
        raise Misconfigured("\n".join(missing))


def write_secret(path: Path, value: str) -> None:
    """Write the webhook secret into a ``.env``, keeping all else as it is, readable to its owner.

    An empty ``WEBHOOK_SECRET=`` is filled, otherwise a line is added. The file is replaced whole,
    so that a crash leaves the old one or the new one.

    Raises:
        Misconfigured: the file cannot be read or written; the message holds the remedy.
    """
    target = path.resolve()  # a linked .env stays a link
    try:
        text = target.read_bytes().decode() if target.exists() else ""
        _replace(target, with_secret(text, value))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{SECRET_NAME} is not set and cannot be written into {ENV_FILE} "
            f"({type(error).__name__}): make the folder writable, or set it: {MAKE_SECRET}"
        ) from None


def with_secret(text: str, value: str) -> str:
    """Return the text of a ``.env`` with the webhook secret in it."""
    bindings = parse_env(text)
    places = [index for index, each in enumerate(bindings) if each.key == SECRET_NAME]
    parts = [binding.original.string for binding in bindings]
    if not places or _EMPTY_LINE.search(parts[places[-1]]) is None:
        return _appended(text, value)
    last = places[-1]  # the last one counts
    parts[last] = _EMPTY_LINE.sub(lambda found: _filled(found, value), parts[last], count=1)
    return "".join(parts)


def _filled(found: re.Match[str], value: str) -> str:
    comment = (found["comment"] or "").lstrip()
    return f"{found[1]}{value}  {comment}".rstrip()


def _appended(text: str, value: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text or text.endswith("\n") else newline
    return f"{text}{gap}# signals are taken by this secret{newline}{SECRET_NAME}={value}{newline}"


def _replace(target: Path, text: str) -> None:
    """Write a file beside the old one, to the disk, and put it in its place."""
    fresh = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(handle, "wb") as stream:
            _keep_owner(handle, target)
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(target)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _keep_owner(handle: int, target: Path) -> None:
    """Give the new file to the owner of the old one: the service may run as root."""
    if target.exists():
        old, new = target.stat(), os.fstat(handle)
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(handle, old.st_uid, old.st_gid)


def _sync_folder(folder: Path) -> None:
    """Make the new name last, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
