"""How far an epoch is used, as plain words and numbers, and what must hold of a state that goes on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mlstac.errors import StateError

_VERSION = 1
_WORDS = ("version", "fingerprint", "order", "seed", "epoch", "consumed")


class Position(NamedTuple):
    """Where an iteration begins."""

    seed: int
    epoch: int
    start: int
    """Samples of the epoch that were used before it, by all ranks."""
    done: int = 0
    """Turns that were taken since `start`, by one worker process of several."""


def write_state(position: Position, *, fingerprint: str, order: str, consumed: int, in_turns: bool) -> dict[str, Any]:
    """State of an iteration that began at a position, once the epoch is used up to `consumed`."""
    return {
        "version": _VERSION,
        "fingerprint": fingerprint,
        "order": order,
        "seed": position.seed,
        "epoch": position.epoch,
        "consumed": consumed,
        **({"start": position.start, "turns": position.done} if in_turns else {}),
    }


def read_state(state: object, *, fingerprint: str, order: str, length: int, in_turns: bool) -> Position:
    """Position from which a state goes on; its seed and epoch hold, whatever these batches were made with.

    Parameters
    ----------
    state : object
        What a user gave.
    fingerprint, order : str
        Of the batches that are to go on.
    length : int
        Samples of their epoch.
    in_turns : bool
        Whether they are one worker process's of several.

    Raises
    ------
    StateError
        If it is the state of another dataset, of another order, of a worker process, or none.
    """
    if not isinstance(state, Mapping):
        raise StateError(f"a {type(state).__name__} is no state of batches; give what state_dict() returned")
    if missing := [word for word in _WORDS if word not in state]:
        raise StateError(
            f"this is no state of batches: it lacks {', '.join(missing)}; give what state_dict() of batches returned"
        )
    if state["version"] != _VERSION:
        raise StateError(
            f"the state is of version {state['version']!r}; this mlstac reads {_VERSION}: resume with the mlstac that "
            "it was taken with"
        )
    if state["fingerprint"] != fingerprint:
        raise StateError(
            f"the state belongs to another dataset ({state['fingerprint']}), not this one ({fingerprint}): "
            "load the same splits, filters and subsets of the same version"
        )
    if state["order"] != order:
        raise StateError(
            f"the state is of an epoch in order {state['order']!r}; these batches are in order {order!r}: make them "
            "with the shuffle=, weights= or balance= that it was taken with (of a mixture, samples= too)"
        )
    if "turns" in state and not in_turns:
        raise StateError(
            "the state is of one of several worker processes, and says nothing of the others; resume in a loader with "
            "as many workers"
        )
    position = Position(
        _number(state, "seed"),
        _number(state, "epoch", least=0),
        _number(state, "consumed", least=0),
    )
    if position.start > length:
        raise StateError(
            f"the state says that {position.start} samples are consumed, of an epoch of {length}; give a state as "
            "state_dict() returned it"
        )
    if in_turns:  # others take the steps between, so the count of this one's own goes on
        start = _number(state, "start", least=0) if "start" in state else position.start
        done = _number(state, "turns", least=0) if "turns" in state else 0
        return position._replace(start=start, done=done)
    return position


def _number(state: Mapping[str, Any], word: str, *, least: int | None = None) -> int:
    """A whole number of a state, of Python or numpy."""
    value = state[word]
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        wanted = "a whole number" if least is None else f"a whole number from {least} on"
        raise StateError(
            f"{word} of the state is {value!r}, not {wanted}: it is damaged; give one as state_dict() returned it"
        )
    return number
