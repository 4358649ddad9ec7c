"""`mlstac convert`: a dataset of version 1.0 of folders of images, other libraries' datasets, or the original's."""

from typing import Any

import mlstac
from mlstac.authoring import check_layout, read_splitting
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._lists import read_list
from mlstac.cli._misuse import MisuseError, reading
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count, say_dtype, say_shape
from mlstac.collection import Tensor
from mlstac.conversion import check_kind
from mlstac.sample import parse_compression
from mlstac.storage import parse_size, redact

_MOST_NAMES = 10


def convert_source(source: str, path: str, *, store: list[str], as_json: bool, **options: Any) -> None:
    """Convert, and say what came of it."""
    with reading():
        check_kind(options.get("kind"), of_path=True)
        parse_compression(options.get("compression"))
        check_layout(options.get("layout") or "auto")
        if options.get("shard_size") is not None:
            parse_size(options["shard_size"])
    given = {name: value for name, value in options.items() if value not in (None, ())}
    collection = mlstac.convert(
        source, path, storage_options=read_options(store) or None, progress=None if not as_json else False, **given
    )
    counts = {name: split.n_items for name, split in collection.splits.items()}
    if as_json:
        tensors = {
            name: {"dtype": tensor.dtype, "shape": None if tensor.shape is None else list(tensor.shape)}
            for name, tensor in collection.tensors.items()
        }
        print_json({"path": redact(path), "id": collection.id, "splits": counts, "tensors": tensors})
        return
    OUT.print(redact(path), markup=False, soft_wrap=True)
    each = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    tell(f"wrote {say_count(sum(counts.values()), 'sample')}: {each}")
    for name, tensor in collection.tensors.items():
        tell(f"  {name}: {_say_tensor(tensor)}")


def _say_tensor(tensor: Tensor) -> str:
    """What became of a field of the source, by which one sees whether it was taken for what it is."""
    what = tensor.media_type or f"{say_dtype(tensor.dtype)} {say_shape(tensor.shape)}"
    if tensor.role == "label":
        what += ", a label"
    if not tensor.classes:
        return what
    names = [item.label for item in tensor.classes]
    shown = ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
    return f"{what} of {len(names):,} class{'es' if len(names) > 1 else ''}: {shown}"


def read_bands(text: str | None) -> str | list[str] | None:
    """What ``bands=`` of `mlstac.convert` is given: names, or a sensor, of which some bands may be named.

    Raises
    ------
    MisuseError
        If there is no word in it, or none beside a comma.
    """
    names = read_list(text, option="--bands")
    if names is None or (len(names) > 1 and ":" not in names[0]):
        return names
    return " ".join(names)  # sentinel-2-l2a: B04, B03


def read_division(
    *, column: str | None, block_size_m: float | None, fractions: str | None, seed: int | None
) -> str | dict[str, Any] | None:
    """What ``split_by=`` of `mlstac.convert` is given for the options that divide samples into splits.

    Raises
    ------
    MisuseError
        If two things are to decide, or none that shares or a seed belong to; or a value is none.
    """
    if column is not None and block_size_m is not None:
        raise MisuseError("--split-by and --block-size are given, and one of them decides; leave the other out")
    if fractions is None and seed is None and block_size_m is None:
        return column
    if column is None and block_size_m is None:
        given = "--seed" if fractions is None else "--fractions"
        raise MisuseError(f"{given} is of blocks or groups; give --block-size METRES or --split-by COLUMN with it")
    if column is not None and fractions is None:
        raise MisuseError(
            f"--seed draws groups, and --split-by {column} alone takes the splits' names from the column; "
            "give --fractions too, or leave --seed out"
        )
    by = {"column": column} if block_size_m is None else {"block_size_m": block_size_m}
    asked = {**by, **({} if fractions is None else {"fractions": _read_shares(fractions)}), "seed": seed or 0}
    with reading():
        read_splitting(asked)
    return asked


def _read_shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in read_list(text, option="--fractions") or []:
        name, _, share = (word.strip() for word in part.partition("="))
        try:
            number = float(share)
        except ValueError:
            raise MisuseError(
                f"--fractions {text!r} has {part!r}; write shares by split, such as train=0.8,test=0.2"
            ) from None
        if name in shares:
            raise MisuseError(f"--fractions {text!r} gives {name} twice; give each split one share")
        shares[name] = number
    return shares
