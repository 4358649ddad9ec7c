"""The bars of huggingface_hub, put out while a bar of ours counts the same bytes, or nobody looks."""

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_lock = threading.Lock()
_quiet = 0
"""How many uploads of this process are under way now."""
_before: dict[str, bool] | None = None
"""Which bars the process showed before the first of them, by group; None where there was nothing to put out."""


@contextmanager
def without_bars(client: ModuleType) -> Iterator[None]:
    """Have the client draw none of its bars meanwhile, in all threads; the last to leave puts the state of before back.

    Who has set HF_HUB_DISABLE_PROGRESS_BARS to either value has decided, and is left alone.
    """
    _enter(client)
    try:
        yield
    finally:
        _leave(client)


def _enter(client: ModuleType) -> None:
    global _quiet, _before
    with _lock:
        free = client.constants.HF_HUB_DISABLE_PROGRESS_BARS is None
        if not _quiet and free and not client.utils.are_progress_bars_disabled():
            # the client forgets its groups once all are put out, and has no call that tells of them
            module = importlib.import_module(client.utils.disable_progress_bars.__module__)
            _before = dict(module.progress_bar_states)
            client.utils.disable_progress_bars()
        _quiet += 1


def _leave(client: ModuleType) -> None:
    global _quiet, _before
    with _lock:
        _quiet -= 1
        if _quiet or _before is None:
            return
        groups, _before = _before, None
        if not client.utils.are_progress_bars_disabled():
            return  # somebody has let them be shown meanwhile
        client.utils.enable_progress_bars()
        for name in sorted(set(groups) - {"_global"}):  # a group before those inside it, which it would undo
            (client.utils.enable_progress_bars if groups[name] else client.utils.disable_progress_bars)(name)
