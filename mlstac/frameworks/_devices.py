"""One spelling of devices for every framework."""

import re
from typing import NamedTuple

from mlstac.errors import DeviceError

KINDS = {"cpu": "cpu", "cuda": "gpu", "gpu": "gpu", "rocm": "gpu", "mps": "mps", "tpu": "tpu", "xpu": "xpu"}
"""Neutral word -> the kind of device it means."""

_NEUTRAL = re.compile(r"(?P<kind>[a-z]+)(?::(?P<index>\d+))?", re.IGNORECASE)


class Device(NamedTuple):
    """A device by its kind ("cpu", "gpu", "mps", "tpu", "xpu") and its number; None is the framework's current one."""

    kind: str
    number: int | None


def parse_device(device: object, *, framework: str) -> Device:
    """Read the neutral spelling: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"gpu:0"``, ``"mps"``, ``"tpu:0"``.

    Parameters
    ----------
    device : object
        What the caller gave; anything but a string in that spelling is refused.
    framework : str
        Named in the message.

    Raises
    ------
    DeviceError
        If it is no such string, as a device object of another framework is none.
    """
    if not isinstance(device, str):
        origin = type(device).__module__.partition(".")[0]
        of_another = f" of {origin}" if origin not in ("builtins", framework) else ""
        raise DeviceError(
            f"{device!r}{of_another} ({type(device).__name__}) is no device of {framework}; give one of its own, or a "
            'name such as "cpu", "cuda:0", "mps" or "tpu:0"'
        )
    match = _NEUTRAL.fullmatch(device.strip())
    kind = KINDS.get(match["kind"].lower()) if match else None
    if match is None or kind is None:
        raise DeviceError(
            f'device {device!r} is not understood by {framework}; write "cpu", "cuda", "cuda:1", "gpu:0", '
            '"mps" or "tpu:0"'
        )
    return Device(kind, int(match["index"]) if match["index"] else None)


def absent(device: object, present: list[str], *, framework: str) -> DeviceError:
    """The error for a device that is not there; it lists those that are."""
    return DeviceError(f"{framework} has no device {str(device)!r} here; it has {', '.join(present) or 'none'}")
