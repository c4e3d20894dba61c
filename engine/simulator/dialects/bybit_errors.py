"""Bybit's refusals."""

from typing import Any

PARAMETER_ERROR = 10001


class BybitError(Exception):
    """A refusal: ``code`` and ``message`` become ``retCode`` and ``retMsg``."""

    def __init__(
        self, message: str, code: int = PARAMETER_ERROR, result: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.result = result or {}
