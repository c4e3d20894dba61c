"""The engine's inbox behind HTTP: signatures that open one signal each, and errors as problems."""

from msgspec import Struct
from msgspec.structs import replace

from api.problems import FieldError, Problem, unavailable
from api.webhook.secret import SIGNED_ID, SignatureMemory, Signed, wrong_secret
from engine import inbox as engine_inbox
from engine.inbox import AnsweredLate, IdReused, Receipt
from engine.model.signal import Signal


class _Signature(Struct, frozen=True):
    """``engine.inbox.Claim``: a signature in the memory of those that were used."""

    memory: SignatureMemory
    signed: Signed
    now_ns: int

    def take(self) -> None:
        """Remember the signature.

        Raises:
            Problem: 401 when it was used before.
        """
        if self.memory.has(self.signed, self.now_ns):
            raise wrong_secret()
        self.memory.keep(self.signed, self.now_ns)

    def release(self) -> None:
        self.memory.drop(self.signed)


class Inbox:
    """Takes signals that were authenticated and read, each once."""

    def __init__(self, inbox: engine_inbox.Inbox) -> None:
        self._inbox = inbox
        self._signatures = SignatureMemory()

    async def deliver(
        self, signal: Signal, *, signed: Signed | None = None, rejection: str | None = None
    ) -> Receipt:
        """Take a signal, or recognise it; returns after the commit.

        Args:
            signal: with a fresh id.
            rejection: the recorded outcome of a signal that the guardian cannot be given.

        Raises:
            Problem: 409 for a known id with another body, 401 for a signature used before, 503
                when storage is too slow for the sender.
            Retryable: storage refuses; nothing was done.
        """
        claim = None
        if signed is not None:
            claim = _Signature(self._signatures, signed, signal.received_at_ns)
            if signal.external_id is None:
                signal = replace(signal, external_id=signed.external_id)
        derived = signal.external_id is not None and signal.external_id.startswith(SIGNED_ID)
        try:
            return await self._inbox.deliver(
                signal, rejection=rejection, claim=claim, id_is_derived=derived
            )
        except IdReused:
            raise _id_reused() from None
        except AnsweredLate:
            raise unavailable(
                "Storage is slow. Send the request again: a signal that was taken is recognised."
            ) from None


def _id_reused() -> Problem:
    error = FieldError("id", "this id was used with another body; give each signal its own")
    return Problem(409, "The id is known, and its body was another.", [error])
