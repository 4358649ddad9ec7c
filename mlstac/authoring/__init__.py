"""Samples to shards, shards to catalogs, catalogs to a collection: a dataset that is there whole or not at all."""

from mlstac.authoring._age import parse_age
from mlstac.authoring._append import append
from mlstac.authoring._card import card
from mlstac.authoring._garbage import Garbage, gc
from mlstac.authoring._list_items import list_items
from mlstac.authoring._parts import write_parts
from mlstac.authoring._publish import Publication, check_place, publish
from mlstac.authoring._rebuild import Rebuilt, rebuild
from mlstac.authoring._remeasure import measure_samples
from mlstac.authoring._shapes import check_layout
from mlstac.authoring._splitting import read_splitting
from mlstac.authoring._write import write
from mlstac.authoring._writer import Writer

__all__ = [
    "Garbage",
    "Publication",
    "Rebuilt",
    "Writer",
    "append",
    "card",
    "check_layout",
    "check_place",
    "gc",
    "list_items",
    "measure_samples",
    "parse_age",
    "publish",
    "read_splitting",
    "rebuild",
    "write",
    "write_parts",
]
