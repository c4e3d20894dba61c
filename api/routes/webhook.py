"""``POST /webhook``: authenticate, read, resolve, take once, answer after the commit."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import address_of
from api.problems import JsonResponse, Problem, check_count, too_many
from api.routes.body import read_body
from api.routes.context import Context, context_of
from api.runtime import Runtime
from api.webhook.exit_sets import check_exits, with_default_close
from api.webhook.fields import MAX_FIELDS, SECRET, Draft, read_draft
from api.webhook.read import read_object, write_object
from api.webhook.redact import hide
from api.webhook.secret import authenticate, check_signature, is_secret, wrong_secret
from api.webhook.symbols import Defaults, resolve, unknown_symbol
from api.webhook.throttle import Throttle
from engine.model.instrument import Instrument, InstrumentId
from engine.model.signal import Signal
from engine.ports import Clock

SOURCE = "webhook"
WRONG_SECRETS_BURST = 20
WRONG_SECRETS_PER_SECOND = 1.0
_UNKNOWN = "unknown"


def webhook_routes(clock: Clock) -> list[Route]:
    """Return the routes that take signals."""
    wrong = Throttle(clock, WRONG_SECRETS_BURST, WRONG_SECRETS_PER_SECOND)

    async def endpoint(request: Request) -> Response:
        context, raw = context_of(request), bytearray()
        try:
            return await _answer(context, request, raw)
        except Problem as problem:
            if problem.status == 401 and not wrong.take(address_of(request)):
                problem = too_many(SECRET, "wait, then send the right secret")
            source = SOURCE if problem.status in (409, 422) else _UNKNOWN
            await context.refusals.note_signal(request, problem, bytes(raw), source)
            raise problem from None

    return [Route(path, endpoint, methods=["POST"]) for path in ("/webhook", "/webhook/{token}")]


async def _answer(context: Context, request: Request, taken: bytearray) -> Response:
    runtime = context.runtime
    raw, now_ns = await read_body(request, taken), runtime.clock.now_ns()
    secret = _secret(runtime)
    token = request.path_params.get("token")
    if token is not None and not is_secret(token, secret):
        raise wrong_secret()
    signed = check_signature(request.headers, raw, secret, now_ns)
    body = read_object(raw)
    authenticate(body, signed, secret, by_path=token is not None)
    check_count(len(body), MAX_FIELDS, "body", "fields")
    body = _without_secret(body, secret)
    draft = read_draft(body, now_ns, runtime.settings.timezone)
    instrument, rejection = _instrument(runtime, draft)
    signal = _signal(draft, instrument, runtime.random_id(), now_ns, write_object(body))
    signal = with_default_close(signal, runtime.settings)
    check_exits(signal, context.config)
    if signed is not None and signal.sent_at_ns is None:
        # A signed moment is one of sending, so a signature replayed later meets the age limit.
        signal = replace(signal, sent_at_ns=signed.at_ns)
    receipt = await context.inbox.deliver(signal, signed=signed, rejection=rejection)
    status = "duplicate" if receipt.is_duplicate else "accepted"
    content = {"status": status, "signal_id": receipt.signal_id}
    return JsonResponse(content, 200 if receipt.is_duplicate else 202)


def _without_secret(body: dict[str, Any], secret: str | None) -> dict[str, Any]:
    """Take the secret out of its field, and mask it where a sender repeats it in another text."""
    hidden = [secret or ""]
    return {
        name: hide(value, hidden) if type(value) is str else value
        for name, value in body.items()
        if name != SECRET
    }


def _secret(runtime: Runtime) -> str | None:
    secret = runtime.settings.webhook_secret
    return None if secret is None else secret.get_secret_value()


def _instrument(runtime: Runtime, draft: Draft) -> tuple[Instrument, str | None]:
    """Return what a draft names, and why it cannot be acted upon if so.

    An instrument that we hold is known by its position, whatever the venue lists now: a close
    must not fail for want of a list.

    Raises:
        Problem: 422.
    """
    settings = runtime.settings
    venues, venue, market = settings.venues, settings.default_venue, settings.default_market
    wanted = resolve(draft, Defaults(venues=venues, venue=venue, market=market))
    held = (p.instrument for p in runtime.flow.positions() if p.instrument.id == wanted)
    listed = runtime.catalog.lookup(wanted.venue, wanted.market, wanted.symbol)
    found = listed or next(held, None)
    if found is not None:
        return found, None
    if runtime.catalog.available(wanted.venue, wanted.market):
        near = runtime.catalog.near(wanted.venue, wanted.market, wanted.symbol)
        raise unknown_symbol(wanted, near)
    where = f"{wanted.venue} {wanted.market}"
    reason = f"{where} was not read yet; send the signal later, with a new id"
    return _placeholder(wanted), f"instrument_list_unavailable: {reason}"


def _placeholder(instrument: InstrumentId) -> Instrument:
    """Stand in for an instrument that cannot be looked up, in a row that is rejected anyway."""
    one = Decimal(1)
    return Instrument(
        id=instrument,
        base=instrument.symbol,
        quote="",
        tick_size=one,
        qty_step=one,
        min_qty=one,
        min_notional=one,
        trading=False,
    )


def _signal(draft: Draft, instrument: Instrument, signal_id: str, now_ns: int, raw: str) -> Signal:
    return Signal(
        id=signal_id,
        received_at_ns=now_ns,
        source=SOURCE,
        action=draft.action,
        instrument=instrument,
        external_id=draft.external_id,
        sent_at_ns=draft.sent_at_ns,
        size=draft.size,
        reference_price=draft.reference_price,
        exits=draft.exits,
        strategy=draft.strategy,
        comment=draft.comment,
        raw=raw,
    )
