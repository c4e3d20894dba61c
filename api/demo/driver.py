"""The demo's course: signals in, prices on, a kill, a restart, closes, and the end."""

import asyncio
import json
import time
from collections.abc import Callable, Container
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from api.demo import plan
from api.demo.parts import PAPER, PARTS, WIRE, Part
from api.demo.plan import PlannedSignal
from api.demo.stage import Child, DemoFailed, clean_environment
from api.demo.summary import SENT_LOG
from api.demo.wire_record import write_record

SPEED = "10"
SECRET = "demo-webhook-secret-0123456789"  # noqa: S105 - lives as long as the demo, on loopback

# How long to wait for what takes a second or two, before the judge has it as it is.
SETTLED_S = 40.0
PLAYED_S = 30.0
READY_S = 30.0
CLOSED_S = 30.0
PLAY_AT_LEAST_S = 5.0
PLAYED_CLOSES = 4
REST_S = 1.0
STEP_S = 0.15

BLUR_NS = 1_000_000_000
"""What was sent this long before the kill may or may not have been acted upon: a frame may still
wait to be read, and an exit that is younger than the paper account's latency is lost."""

FOR_EVER_NS = 2**63 - 1

Json = dict[str, Any]
Tell = Callable[[str], None]
Show = Callable[[list[Json]], None]


class Course:
    """Runs the demo in ``folder`` and remembers what the judge needs.

    Attributes:
        windows: by part, monotonic (begin, end) of the times in which its service could not see
            prices, or was not yet known to guard.
    """

    def __init__(
        self, folder: Path, recorded: Path | None, tell: Tell, show: Show | None = None
    ) -> None:
        self.folder = folder
        self.recorded = recorded
        self.tell = tell
        self._show = show
        self.windows: dict[str, list[tuple[int, int]]] = {part.name: [] for part in PARTS}
        self.restarted = False
        self.part: Part = PAPER
        self.url = ""
        self.key = ""
        self._simulator: Child | None = None
        self._service: Child | None = None
        # Proxies of the user's have no business on loopback.
        self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)

    @property
    def sent_log(self) -> Path:
        return self.folder / SENT_LOG

    async def run(self) -> None:
        """Play the whole course. Both processes are ended whatever happens.

        Raises:
            DemoFailed: a process did not do what it should.
        """
        try:
            async with self._client:
                await self._play()
        except httpx.HTTPError as error:
            raise DemoFailed(f"a process of the demo does not answer: {error!r}") from error
        finally:
            for child in (self._service, self._simulator):
                if child is not None:
                    await child.stop()

    async def _play(self) -> None:
        await self._start_simulator()
        for part in PARTS:
            self.part, self.key = part, ""
            await self._play_part()
        if self._simulator is not None:
            await self._simulator.stop()

    async def _play_part(self) -> None:
        await self._start_service()
        await self._open_positions()
        if self.part.plays:
            self.tell("prices play; narrow limits are left to them")
            await self._watch(played_enough, PLAYED_S, at_least_s=PLAY_AT_LEAST_S)
            await self._kill_and_restart()
        await self._close_by_hand()
        await self._send(self.part.by_signal)
        self.tell("scripted prices move to the 15 % limits")
        await self._move_prices()
        await self._watch(lambda positions: wide_closed(self.part, positions), CLOSED_S)
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
            **(self._account_settings() if self.part is WIRE else {}),
            "DATA_DIR": str(self.folder / self.part.data),
            "API_PORT": "0",
            "WEBHOOK_SECRET": SECRET,
            "MAX_OPEN_POSITIONS": "40",
            "PAPER_LATENCY_MS": str(plan.LATENCY_MS),
            "ENABLE_TELEGRAM_NOTIFICATIONS": "False",
        }
        log = self.folder / self.part.log
        if not self.key:
            self.key = await _make_key(environment, self.folder, log)
        self._service = await Child.start(["run"], environment, self.folder, log)
        self.url = self._service.facts["url"]
        self.tell(f"service up at {self.url}, trading on {self._service.facts['mode']}")

    def _account_settings(self) -> dict[str, str]:
        """What an owner sets to trade with an account: the mode and his keys."""
        keys = {
            f"{venue.upper()}_API_{part.upper()}": value
            for venue, pair in self._facts()["keys"].items()
            for part, value in pair.items()
        }
        return {"TRADING_MODE": "testnet", **keys}

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

    async def _get(self, path: str) -> httpx.Response:
        """Ask the API as a user would."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return await self._client.get(self.url + path, headers=headers)

    async def _items(self, path: str) -> list[Json]:
        answer = await self._get(path)
        answer.raise_for_status()
        items: list[Json] = answer.json()["items"]
        return items

    async def _positions(self) -> list[Json]:
        positions = await self._items("/positions?status=all&limit=1000")
        if self._show is not None:
            self._show(positions)
        return positions

    async def _repeat_prices(self, but: Container[str] = ()) -> None:
        """Instruments without a recording have prices only while somebody sends them.

        Nothing fills on paper at a price that is old, so a close would wait for the next one.
        """
        for instrument, price in plan.INSTRUMENTS:
            if instrument not in but:
                await self._control("price", {"instrument": instrument, "price": price})

    async def _watch(
        self, done: Callable[[list[Json]], bool], at_most_s: float, at_least_s: float = 0.0
    ) -> None:
        """Look on until ``done`` holds of the positions; what never comes is the judge's."""
        begun = time.monotonic()
        while time.monotonic() < begun + at_most_s:
            positions = await self._positions()
            if done(positions) and time.monotonic() >= begun + at_least_s:
                return
            await asyncio.sleep(STEP_S)

    async def _open_positions(self) -> None:
        begin_ns = time.monotonic_ns()
        await self._repeat_prices()
        for signal in self.part.signals:
            await self._send(signal)
        self.tell(f"{len(self.part.signals)} signals sent; positions open at live prices")
        await self._until_guarding(SETTLED_S)
        self._note_window(begin_ns, time.monotonic_ns())

    def _note_window(self, begin_ns: int, end_ns: int) -> None:
        self.windows[self.part.name].append((begin_ns, end_ns))

    async def _until_guarding(self, at_most_s: float) -> None:
        """Wait until every signal has its outcome and every open position is armed.

        Raises:
            DemoFailed: that takes longer; the message says what the service lacks.
        """
        deadline = time.monotonic() + at_most_s
        while True:
            await self._repeat_prices()
            signals = await self._items("/signals?limit=1000")
            pending = [signal["id"] for signal in signals if signal["outcome"] == "pending"]
            unarmed = [p["id"] for p in await self._positions() if is_unguarded(p)]
            ready = await self._get("/ready")
            if ready.is_success and not pending and not unarmed:
                return
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"not guarding after {at_most_s:.0f} s: signals {pending} have no outcome,"
                    f" positions {unarmed} are not armed; /ready says {ready.text}"
                )
            await asyncio.sleep(STEP_S)

    async def _kill_and_restart(self) -> None:
        if self._service is None:
            raise DemoFailed("the service is not running")
        begin_ns = time.monotonic_ns() - BLUR_NS
        await self._service.kill()
        self.tell("service killed by SIGKILL")
        await self._start_service()
        await self._until_guarding(READY_S)
        self._note_window(begin_ns, time.monotonic_ns())
        self.restarted = True
        self.tell("restarted: open positions are guarded again")

    async def _close_by_hand(self) -> None:
        of_strategy = {each["strategy"]: each["id"] for each in await self._positions()}
        position_id = of_strategy.get(self.part.by_hand)
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await self._client.post(
            f"{self.url}/positions/{position_id}/close", headers=headers
        )
        if answer.status_code != httpx.codes.ACCEPTED:
            raise DemoFailed(f"the close by REST was answered {answer.status_code}: {answer.text}")
        await self._repeat_prices()
        self.tell("one position closed by REST")

    async def _move_prices(self) -> None:
        starts = {name: Decimal(price) for name, price in plan.INSTRUMENTS}
        moved = {move.instrument for move in plan.MOVES}
        for step in range(1, plan.MOVE_STEPS + 1):
            await self._repeat_prices(but=moved)
            for move in plan.MOVES:
                share = move.percent / 100 * step / plan.MOVE_STEPS
                price = (starts[move.instrument] * (1 + share)).quantize(Decimal("0.0001"))
                await self._control("price", {"instrument": move.instrument, "price": str(price)})
            await self._positions()
            await asyncio.sleep(STEP_S)

    async def _finish(self) -> None:
        """Let prices rest, let what is under way come to its end, and stop the service.

        Raises:
            DemoFailed: the service did not end in order.
        """
        if self._service is None:
            raise DemoFailed("the service is not running")
        await self._control("pause", {})
        # Frames sent before that are read by now, and an exit is shown after its commit.
        await self._watch(nothing_under_way, CLOSED_S, at_least_s=REST_S)
        self._note_window(time.monotonic_ns(), FOR_EVER_NS)
        code = await self._service.stop()
        if code != 0:
            words = self._service.last_words()
            raise DemoFailed(f"the service ended with exit code {code}:\n{words}")
        if self.part is WIRE:
            await self._keep_record()
        await self._control("resume", {})

    async def _keep_record(self) -> None:
        """Write what the simulated exchanges have on record, for the judge."""
        control = self._facts()["control"]
        told = {}
        for path in ("account", "requests"):
            answer = await self._client.get(f"{control}/{path}")
            told[path] = answer.raise_for_status().json()
        record = self.folder / self.part.data / self.part.record
        write_record(record, told["account"]["accounts"], told["requests"]["items"])


def is_unguarded(position: Json) -> bool:
    """Tell whether a position is open and not armed."""
    status, guard = position["status"], position["guard"]
    return bool(status == "opening" or (status == "open" and guard != "armed"))


def nothing_under_way(positions: list[Json]) -> bool:
    """Tell whether no order of a position is on its way."""
    return not any(each["status"] in {"opening", "closing"} for each in positions)


def played_enough(positions: list[Json]) -> bool:
    """Tell whether playback has closed some positions by each of the two limits."""
    reasons = [each["exit_reason"] for each in positions if each["status"] == "closed"]
    return len(reasons) >= PLAYED_CLOSES and {"take_profit", "stop_loss"} <= set(reasons)


def wide_closed(part: Part, positions: list[Json]) -> bool:
    """Tell whether every position that is not left to playback is closed."""
    return nothing_under_way(positions) and not any(
        each["strategy"] in part.wide and each["status"] == "open" for each in positions
    )


async def _make_key(environment: dict[str, str], folder: Path, log: Path) -> str:
    arguments = ["keys", "create", "--name", "demo", "--scope", "admin"]
    command = await Child.start(arguments, environment, folder, log)
    await command.ended()
    return str(command.facts["key"])
