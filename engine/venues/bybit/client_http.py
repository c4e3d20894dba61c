"""pybit's HTTP client as it is used here: our address, our clock, one request a call.

What is changed of it (its source, version 5.17, ``_http_manager.py``): no retries, not even after
10002 and 10006; signatures by the venue's measured time; no redirects, which would carry the key to
another host; no proxies or ``.netrc`` of the environment unless the owner says so; no log handler
of its own. ``requests`` itself repeats nothing.
"""

import threading
from collections.abc import Callable
from typing import Any

import requests
from pybit.unified_trading import HTTP
from requests.adapters import HTTPAdapter

RECV_WINDOW_MS = 5000
"""How old a request may be when it arrives (v5 documentation, "Integration Guidance")."""


class Abandoned(Exception):
    """Nobody waits for the answer any more, so the request is not sent."""


class Handover:
    """One call's way to the socket: handed over, or abandoned before that, never both.

    Attributes:
        sent_ns: local monotonic; None until the request is handed over.
        answered_ns: local monotonic; None until there is an answer.
    """

    def __init__(self, told: Callable[[int], None]) -> None:
        self.sent_ns: int | None = None
        self.answered_ns: int | None = None
        self._told = told
        self._lock = threading.Lock()
        self._handed = threading.Event()
        self._abandoned = False

    def pass_on(self, now_ns: int) -> None:
        """Note the moment before the request is sent; raises Abandoned."""
        with self._lock:
            if self._abandoned:
                raise Abandoned
            self.sent_ns = now_ns
        self._told(now_ns)
        self._handed.set()

    def wait(self, seconds: float) -> None:
        """Stand still until the request is handed over, so long at most."""
        self._handed.wait(seconds)

    def abandon(self) -> bool:
        """Keep the request from being sent; tells whether that came in time."""
        with self._lock:
            self._abandoned = True
            return self.sent_ns is None


class StampingAdapter(HTTPAdapter):
    """Notes when a request is handed to the socket."""

    def __init__(self, monotonic_ns: Callable[[], int], connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)
        self.current = threading.local()
        self._monotonic_ns = monotonic_ns

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Note the moment, then send; raises Abandoned."""
        handover: Handover = self.current.handover
        handover.pass_on(self._monotonic_ns())
        response = super().send(*args, **kwargs)
        handover.answered_ns = self._monotonic_ns()
        return response


class PlainSession(requests.Session):
    """A session that follows no redirect."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None: the answer is what it is."""
        del resp
        return None


class BybitHttp(HTTP):  # type: ignore[misc]  # pybit has no types
    """pybit's client; a call returns the answer and its headers, and raises for everything else.

    Args:
        now_ms: the venue's time.
        seconds: to connect, and to wait for each part of an answer.
        proxies: use those of the environment.
    """

    def __init__(
        self,
        rest_url: str,
        key: str | None,
        secret: str | None,
        now_ms: Callable[[], int],
        adapter: StampingAdapter,
        seconds: tuple[float, float],
        *,
        proxies: bool = False,
    ) -> None:
        super().__init__(
            api_key=key,
            api_secret=secret,
            recv_window=RECV_WINDOW_MS,
            max_retries=1,
            force_retry=False,
            return_response_headers=True,
        )
        self.endpoint = rest_url
        self.timeout = seconds
        # The constructor takes an empty set for none given, and puts its own codes there.
        self.retry_codes: set[int] = set()
        # It also gives its logger a handler when there is none yet: twice the line, unredacted.
        self.logger.handlers.clear()
        self._now_ms = now_ms
        self._adapter = adapter
        self.client = self._session(proxies)

    def _session(self, proxies: bool) -> requests.Session:
        session = PlainSession()
        session.headers.update(self.client.headers)
        session.trust_env = proxies
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        self.client.close()
        return session

    def _prepare_headers(
        self, payload: str, recv_window: int, content_type: str = "application/json"
    ) -> dict[str, str]:
        """Sign by the venue's time; otherwise as pybit does."""
        now_ms = self._now_ms()
        return {
            "Content-Type": content_type,
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-SIGN": self._auth(payload, recv_window, now_ms),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": str(now_ms),
            "X-BAPI-RECV-WINDOW": str(recv_window),
        }

    def ask(self, method: str, params: dict[str, Any], handover: Handover) -> tuple[Any, Any]:
        """Call a method of pybit, in this thread; returns the answer and its headers."""
        self._adapter.current.handover = handover
        answer, _, headers = getattr(self, method)(**params)
        return answer, headers
