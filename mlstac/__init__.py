"""mlstac: author, host and stream machine-learning datasets of Earth observation.

A dataset is a STAC Collection whose samples are tensors in safetensors files, wherever plain files can lie::

    ds = mlstac.load("https://host/flood/", split="train", framework="torch")
    ds[4]  # {"input": tensor, "target": tensor}

    mlstac.write({"train": dicts_of_arrays}, "flood/", id="flood", license="CC-BY-4.0")

Names are imported when they are first used, so that ``import mlstac`` costs little and loads no framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mlstac import errors

if TYPE_CHECKING:
    from mlstac.authoring import Writer, append, card, gc, list_items, publish, rebuild, write, write_parts
    from mlstac.collection import Collection, Tensor
    from mlstac.conversion import convert
    from mlstac.loading import Dataset, export_tdml, load, mix
    from mlstac.loading import download_dataset as download
    from mlstac.loading import open_collection as open
    from mlstac.sample import Sample
    from mlstac.validation import Report, validate

__version__ = "1.0.0.dev0"

__all__ = [
    "Collection",
    "Dataset",
    "Report",
    "Sample",
    "Tensor",
    "Writer",
    "__version__",
    "append",
    "card",
    "convert",
    "download",
    "errors",
    "export_tdml",
    "gc",
    "list_items",
    "load",
    "mix",
    "open",
    "publish",
    "rebuild",
    "validate",
    "write",
    "write_parts",
]

# Where each name is at home; the block above says the same to type checkers (a test compares them).
_HOMES = {
    "Collection": "mlstac.collection.Collection",
    "Dataset": "mlstac.loading.Dataset",
    "Report": "mlstac.validation.Report",
    "Sample": "mlstac.sample.Sample",
    "Tensor": "mlstac.collection.Tensor",
    "Writer": "mlstac.authoring.Writer",
    "append": "mlstac.authoring.append",
    "card": "mlstac.authoring.card",
    "convert": "mlstac.conversion.convert",
    "download": "mlstac.loading.download_dataset",
    "export_tdml": "mlstac.loading.export_tdml",
    "gc": "mlstac.authoring.gc",
    "list_items": "mlstac.authoring.list_items",
    "load": "mlstac.loading.load",
    "mix": "mlstac.loading.mix",
    "open": "mlstac.loading.open_collection",
    "publish": "mlstac.authoring.publish",
    "validate": "mlstac.validation.validate",
    "rebuild": "mlstac.authoring.rebuild",
    "write": "mlstac.authoring.write",
    "write_parts": "mlstac.authoring.write_parts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlstac' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].rpartition(".")
    return globals().setdefault(name, getattr(import_module(module), attribute))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
