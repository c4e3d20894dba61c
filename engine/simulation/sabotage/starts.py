"""Defects of starts, of the journal and of who may write."""

from collections import deque
from typing import Any

from msgspec.structs import replace

from engine.core.state import State
from engine.model.effects import Effects, SaveOrder
from engine.model.errors import Retryable
from engine.model.ids import Purpose
from engine.model.position import GuardStatus, Position
from engine.simulation.sabotage.defect import Function, Sabotage


def _forget_the_journal(original: Function) -> Function:
    def take_effects(self: State) -> Effects:
        effects: Effects = original(self)
        return tuple(
            effect
            for effect in effects
            if not isinstance(effect, SaveOrder) or effect.order.purpose is not Purpose.EXIT
        )

    return take_effects


def _do_not_look_ahead(original: Function) -> Function:
    del original

    def ask_ahead(state: State, position: Position, last: int) -> None:
        del state, position, last

    return ask_ahead


def _arm_before_resolving(original: Function) -> Function:
    def take_up(state: State, position: Position) -> None:
        original(state, position)
        resolving = state.resolving.pop(position.id, None)
        live = state.positions.get(position.id)
        if resolving is not None and live is not None:
            state.put_position(replace(live, guard=GuardStatus.ARMED))

    return take_up


def _forget_deferred_closes(original: Function) -> Function:
    def arm(state: State, position_id: str) -> None:
        state.deferred.pop(position_id, None)
        original(state, position_id)

    return arm


def _forget_what_was_absent(original: Function) -> Function:
    def arm(state: State, position_id: str) -> None:
        state.resolving[position_id].absent.clear()
        original(state, position_id)

    return arm


def _acknowledge_before_commit(original: Function) -> Function:
    del original

    async def durably(self: Any, effects: Any) -> None:
        self._carry_out(effects, None)

    return durably


def _drop_what_storage_refused(original: Function) -> Function:
    async def commit_batch(self: Any) -> None:
        try:
            await original(self)
        except Retryable:
            for step in self._journal.steps:
                if step.done is not None and not step.done.done():
                    step.done.set_result(None)
            self._journal.steps = deque()
            self._journal.filled.clear()
            raise

    return commit_batch


def _two_writers(original: Function) -> Function:
    del original

    def is_held(self: Any) -> bool:
        del self
        return True

    return is_held


def _send_before_the_wait_is_over(original: Function) -> Function:
    del original

    def permitted(self: Any, commands: list[Any]) -> list[Any]:
        del self
        return commands

    return permitted


def _a_duplicate_is_new(original: Function) -> Function:
    del original

    async def stored_first(self: Any, delivery: Any) -> None:
        del self, delivery

    return stored_first


def _a_duplicate_at_once_is_new(original: Function) -> Function:
    del original

    def pending_first(self: Any, delivery: Any) -> None:
        del self, delivery

    return pending_first


START_DEFECTS = (
    Sabotage(
        "forget_the_journal",
        "exits are not written down",
        (2, 6, 8),
        "engine.core.state:State.take_effects",
        _forget_the_journal,
    ),
    Sabotage(
        "do_not_look_ahead",
        "after a start exits that were sent and not journalled are not asked for",
        (1, 2, 6),
        "engine.core.recovery:ask_ahead",
        _do_not_look_ahead,
    ),
    Sabotage(
        "arm_before_resolving",
        "after a start a position is armed before its orders are accounted for",
        (1, 2, 11),
        "engine.core.recovery:_take_up",
        _arm_before_resolving,
    ),
    Sabotage(
        "forget_deferred_closes",
        "closes that were asked for while a position was resolving are forgotten",
        (4, 7, 14),
        "engine.core.recovery:_arm",
        _forget_deferred_closes,
    ),
    Sabotage(
        "forget_what_was_absent",
        "an exit that proved absent after a start is neither sent again nor dropped",
        (14,),
        "engine.core.recovery:_arm",
        _forget_what_was_absent,
    ),
    Sabotage(
        "acknowledge_before_commit",
        "senders and the owner are answered before the commit",
        (7,),
        "engine.flow:Flow._durably",
        _acknowledge_before_commit,
    ),
    Sabotage(
        "drop_what_storage_refused",
        "what storage refused once is not written again",
        (6, 7),
        "engine.flow:Flow._commit_batch",
        _drop_what_storage_refused,
    ),
    Sabotage(
        "two_writers",
        "a process takes its lease for held whatever the time",
        (12,),
        "engine.lease:HeldLease.is_held",
        _two_writers,
    ),
    Sabotage(
        "send_before_the_wait_is_over",
        "closes and look-ups go whatever is known of the lease",
        (11, 12),
        "engine.lease:Gate.permitted",
        _send_before_the_wait_is_over,
    ),
    Sabotage(
        "a_duplicate_is_new",
        "a signal that is in the ledger already is taken for new",
        (9,),
        "engine.inbox:Inbox._stored_first",
        _a_duplicate_is_new,
    ),
    Sabotage(
        "a_duplicate_at_once_is_new",
        "a signal whose first delivery is not committed yet is taken for new",
        (9,),
        "engine.inbox:Inbox._pending_first",
        _a_duplicate_at_once_is_new,
    ),
)
