"""The demo's course: signals in, prices on, a kill, a restart, closes, and the end."""

import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from api.demo import plan
from api.demo.plan import PlannedSignal
from api.demo.stage import MODULE, Child, DemoFailed, clean_environment

SPEED = "10"
OPENED_S = 12.0
RECORDED_S = 9.0
CLOSED_S = 12.0
STEP_S = 0.15
SECRET = "demo-webhook-secret-0123456789"  # noqa: S105 - lives as long as the demo, on loopback

Tell = Callable[[str], None]
Show = Callable[[list[Any]], None]


class Course:
    """Runs the demo in ``folder`` and remembers what the judge needs."""

    def __init__(
        self, folder: Path, recorded: Path | None, tell: Tell, show: Show | None = None
    ) -> None:
        self.folder = folder
        self.recorded = recorded
        self.tell = tell
        self._show = show
        self.windows: list[tuple[int, int]] = []
        self.restarted = False
        self.url = ""
        self.key = ""
        self._simulator: Child | None = None
        self._service: Child | None = None
        self._client = httpx.AsyncClient(timeout=5.0)

    @property
    def sent_log(self) -> Path:
        return self.folder / "sent.jsonl"

    async def run(self) -> None:
        """Play the whole course. Both processes are ended whatever happens.

        Raises:
            DemoFailed: a process did not do what it should.
        """
        try:
            async with self._client:
                await self._play()
        finally:
            for child in (self._service, self._simulator):
                if child is not None:
                    await child.stop()

    async def _play(self) -> None:
        await self._start_simulator()
        await self._start_service()
        for instrument, price in plan.INSTRUMENTS:
            await self._control("price", {"instrument": instrument, "price": price})
        for signal in plan.SIGNALS:
            await self._send(signal)
        self.tell(f"{len(plan.SIGNALS)} signals sent; positions open at live prices")
        await self._refresh_until(self._all_settled, OPENED_S, keep_prices=True)
        self.tell("prices play; narrow limits are left to them")
        await self._look_on(RECORDED_S)
        await self._kill_and_restart()
        await self._close_by_hand()
        await self._send(plan.BY_SIGNAL)
        self.tell("scripted prices move to the 15 % limits")
        await self._move_prices()
        await self._refresh_until(self._moves_closed, CLOSED_S, keep_prices=False)
        await self._look_on(1.0)
        await self._finish()

    async def _start_simulator(self) -> None:
        source = "seeded" if self.recorded is None else "recorded"
        arguments = ["simulator", "--prices", source, "--speed", SPEED, "--seed", "7"]
        arguments += ["--sent-log", str(self.sent_log)]
        environment = clean_environment()
        if self.recorded is not None:
            environment["TICKGUARD_RECORDED"] = str(self.recorded)
        self._simulator = await Child.start(
            arguments, environment, self.folder, self.folder / "simulator.log"
        )
        self.tell(f"exchange simulator up, {source} prices at {SPEED}x")

    async def _start_service(self) -> None:
        environment = clean_environment() | {
            **self._facts()["urls"],
            "DATA_DIR": str(self.folder / "data"),
            "API_PORT": "0",
            "WEBHOOK_SECRET": SECRET,
            "MAX_OPEN_POSITIONS": "40",
            "ENABLE_TELEGRAM_NOTIFICATIONS": "False",
        }
        log = self.folder / "service.log"
        if not self.key:
            self.key = await _make_key(environment, self.folder)
        self._service = await Child.start(["run"], environment, self.folder, log)
        self.url = self._service.facts["url"]
        self.tell(f"service up at {self.url}")

    def _facts(self) -> dict[str, Any]:
        if self._simulator is None:
            raise DemoFailed("the simulator is not running")
        return self._simulator.facts

    async def _control(self, path: str, body: dict[str, Any]) -> None:
        answer = await self._client.post(f"{self._facts()['control']}/{path}", json=body)
        if answer.is_error:
            raise DemoFailed(f"the simulator refused {path} {body}: {answer.text}")

    async def _send(self, signal: PlannedSignal) -> None:
        """Send a signal as TradingView would: a POST of JSON with the secret in its body."""
        body = {"secret": SECRET, **signal.body}
        answer = await self._client.post(f"{self.url}/webhook", content=json.dumps(body))
        if answer.status_code != httpx.codes.ACCEPTED:
            raise DemoFailed(
                f"signal {signal.key} was answered {answer.status_code}: {answer.text}"
            )

    async def get(self, path: str) -> Any:
        """Ask the API as a user would."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await self._client.get(self.url + path, headers=headers)
        answer.raise_for_status()
        return answer.json()

    async def _refresh_until(
        self, done: Callable[[list[Any], list[Any]], bool], limit_s: float, *, keep_prices: bool
    ) -> None:
        """Wait until ``done`` holds; prices of unrecorded instruments are repeated meanwhile."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if keep_prices:
                for instrument, price in plan.INSTRUMENTS:
                    await self._control("price", {"instrument": instrument, "price": price})
            positions = await self._positions()
            signals = (await self.get("/signals?limit=1000"))["items"]
            if done(positions, signals):
                return
            await asyncio.sleep(STEP_S)

    async def _positions(self) -> list[Any]:
        positions: list[Any] = (await self.get("/positions?status=all&limit=1000"))["items"]
        if self._show is not None:
            self._show(positions)
        return positions

    async def _look_on(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self._positions()
            await asyncio.sleep(STEP_S)

    @staticmethod
    def _all_settled(positions: list[Any], signals: list[Any]) -> bool:
        pending = [signal for signal in signals if signal["outcome"] == "pending"]
        return bool(positions) and not pending

    @staticmethod
    def _moves_closed(positions: list[Any], _: list[Any]) -> bool:
        moved = {move.instrument for move in plan.MOVES}
        return not any(
            f"{p['venue']}:{p['market']}:{p['symbol']}" in moved and p["status"] != "closed"
            for p in positions
        )

    async def _kill_and_restart(self) -> None:
        begin_ns = time.monotonic_ns() - 300_000_000
        if self._service is None:
            raise DemoFailed("the service is not running")
        await self._service.kill()
        self.tell("service killed by SIGKILL")
        await self._start_service()
        await self._ready()
        self.windows.append((begin_ns, time.monotonic_ns() + 500_000_000))
        self.restarted = True
        self.tell("restarted: open positions are guarded again")

    async def _ready(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = await self._client.get(f"{self.url}/ready")
            positions = (await self.get("/positions?status=active"))["items"]
            armed = all(position["guard"] == "armed" for position in positions)
            if answer.status_code == httpx.codes.OK and armed:
                return
            for instrument, price in plan.INSTRUMENTS:
                await self._control("price", {"instrument": instrument, "price": price})
            await asyncio.sleep(STEP_S)

    async def _close_by_hand(self) -> None:
        positions = await self._positions()
        by_strategy = {position["strategy"]: position["id"] for position in positions}
        position_id = by_strategy[plan.BY_HAND]
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await self._client.post(
            f"{self.url}/positions/{position_id}/close", headers=headers
        )
        if answer.status_code != httpx.codes.ACCEPTED:
            raise DemoFailed(f"the close by REST was answered {answer.status_code}: {answer.text}")
        await self._control("price", {"instrument": "bybit:linear:SOLUSDT", "price": "150"})
        self.tell("one position closed by REST")

    async def _move_prices(self) -> None:
        starts = {name: Decimal(price) for name, price in plan.INSTRUMENTS}
        for step in range(1, plan.MOVE_STEPS + 1):
            for move in plan.MOVES:
                share = move.percent / 100 * step / plan.MOVE_STEPS
                price = (starts[move.instrument] * (1 + share)).quantize(Decimal("0.0001"))
                await self._control("price", {"instrument": move.instrument, "price": str(price)})
            await self._look_on(STEP_S)

    async def _finish(self) -> None:
        if self._service is None or self._simulator is None:
            raise DemoFailed("a process of the demo is not running")
        code = await self._service.stop()
        if code != 0:
            words = self._service.last_words()
            raise DemoFailed(f"the service ended with exit code {code}:\n{words}")
        await self._simulator.stop()


async def _make_key(environment: dict[str, str], folder: Path) -> str:
    arguments = ["keys", "create", "--name", "demo", "--scope", "admin", "--json"]
    process = await asyncio.create_subprocess_exec(
        *MODULE, *arguments, stdout=asyncio.subprocess.PIPE, cwd=folder, env=environment
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise DemoFailed("tickguard keys create failed")
    return str(json.loads(output)["key"])
