"""Every error that Tickguard raises on purpose, by what the caller does next.

TickguardError
 +-- Retryable        nothing happened; the same request may be sent again
 +-- UnknownOutcome   it may have happened; look it up before anything else
 +-- Rejected         it will not happen; the message says why and what to change
 +-- Misconfigured    the owner has to change a setting; the message names it
 |    +-- Held        another process is the one writer; the message says which and until when
 +-- Fenced           another writer has taken over; stop, and send and write nothing more
 +-- InvariantBroken  our own books contradict themselves; stop and alarm
"""


class TickguardError(Exception):
    """Base of all errors raised on purpose."""


class Retryable(TickguardError):
    """Nothing happened at the other side; the same request may be repeated."""


class UnknownOutcome(TickguardError):
    """The request may have been carried out; its outcome must be looked up first."""


class Rejected(TickguardError):
    """The request was refused for good."""


class Misconfigured(TickguardError):
    """A setting is missing or contradicts another one; the message names the remedy."""


class Held(Misconfigured):
    """The lease of the one writer is another holder's and is not over."""


class Fenced(TickguardError):
    """The lease of the one writer was taken over by another process; this one is to end."""


class InvariantBroken(TickguardError):
    """Something that must always hold did not."""


class IllegalTransition(InvariantBroken):
    """A life cycle was asked for a step that its table does not have."""
