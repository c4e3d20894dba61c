"""The requests of one venue as tasks: begun at once, ended in an orderly way."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

Work = Coroutine[Any, Any, None]

log = structlog.get_logger(__name__)


class Errand:
    """A task that may have sent an order.

    Attributes:
        is_sent: the request was handed to the socket; from then on a stop waits for its answer.
    """

    __slots__ = ("is_sent",)

    def __init__(self) -> None:
        self.is_sent = False


class RequestTasks:
    """Runs tasks in one group. What a task raises ends the group, and so the service."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._early: list[tuple[Work, str, Errand | None]] = []
        self._group: asyncio.TaskGroup | None = None
        self._serving: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], Errand | None] = {}
        self._stopping = False
        self._has_failed = False

    @property
    def is_running(self) -> bool:
        """Whether a task that is started begins now."""
        return self._group is not None and not self._stopping

    def start(self, work: Work, name: str, errand: Errand | None = None) -> None:
        """Begin a task; before ``run`` it waits for it, after ``stop`` nothing is begun."""
        if self._stopping:
            work.close()
            log.warning("venue.not_asked", venue=self._venue, request=name, reason="stopping")
        elif self._group is None:
            self._early.append((work, name, errand))
        else:
            self._spawn(self._group, work, name, errand)

    async def run(self, main: Work) -> None:
        """Run tasks, ``main`` among them, until cancelled.

        Raises:
            ExceptionGroup: of what a task raised.
        """
        self._serving = asyncio.create_task(self._serve(main), name=f"broker.{self._venue}.serve")
        try:
            # What was sent outlives the cancellation, until ``drain``.
            await asyncio.shield(self._serving)
        except Exception:
            self._has_failed = True
            raise
        finally:
            self.stop()

    def stop(self) -> None:
        """Begin nothing any more, and end every task that has sent no order."""
        self._stopping = True
        for work, _, _ in self._early:
            work.close()
        self._early.clear()
        for task, errand in self._tasks.items():
            if errand is None or not errand.is_sent:
                task.cancel()

    async def drain(self, seconds: float) -> None:
        """Wait so long for what was sent, after ``run`` ended; then give it up.

        Raises:
            ExceptionGroup: of what a task raised, unless ``run`` did.
        """
        self.stop()
        if self._serving is None:
            return
        await asyncio.wait({self._serving}, timeout=seconds)
        for task in self._tasks:
            log.warning("order.left_in_flight", venue=self._venue, request=task.get_name())
            task.cancel()
        await asyncio.wait({self._serving})
        if not self._serving.cancelled() and not self._has_failed:
            self._serving.result()

    async def _serve(self, main: Work) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._spawn(group, main, "main", None)
            for early in self._early:
                self._spawn(group, *early)
            self._early.clear()

    def _spawn(
        self, group: asyncio.TaskGroup, work: Work, name: str, errand: Errand | None
    ) -> None:
        task = group.create_task(work, name=f"broker.{self._venue}.{name}")
        self._tasks[task] = errand
        task.add_done_callback(self._tasks.pop)
