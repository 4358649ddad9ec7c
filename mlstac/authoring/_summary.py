"""What the collection says of all samples: statistics, class counts, extent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mlstac.authoring._block import Measures
from mlstac.authoring._journal import ShardRecord
from mlstac.collection import Band, Collection, Extent, Statistics, Tensor
from mlstac.sample import Summary, checksum_rows, count_bytes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def merge_measures(records: Iterable[ShardRecord]) -> dict[str, Measures]:
    """The measures of all shards, merged in the order of writing."""
    merged: dict[str, Measures] = {}
    for record in records:
        for name, measures in record.measures.items():
            merged[name] = merged[name].merge(measures) if name in merged else measures
    return merged


def describe_tensors(tensors: Mapping[str, Tensor], records: Sequence[ShardRecord]) -> dict[str, Tensor]:
    """The tensors with their statistics, class counts and checksum blocks: those of these shards and no others."""
    merged = merge_measures(records)
    for name, tensor in tensors.items():
        _forget(tensor)
        if (
            tensor.layout == "stacked"
            and tensor.shape is not None
            and tensor.dtype is not None
            and None not in tensor.shape
        ):
            row_bytes = count_bytes(tensor.dtype, [length or 0 for length in tensor.shape])
            tensor.checksum_rows = checksum_rows(row_bytes)
        if name in merged:
            _describe(tensor, merged[name])
    return dict(tensors)


def describe_measures(tensors: Mapping[str, Tensor], measures: Mapping[str, Measures]) -> dict[str, Tensor]:
    """Copies of the tensors with these statistics and class counts, and no others."""
    described = {name: tensor.model_copy(deep=True) for name, tensor in tensors.items()}
    for name, tensor in described.items():
        _forget(tensor)
        if name in measures:
            _describe(tensor, measures[name])
    return described


def _forget(tensor: Tensor) -> None:
    """Take out what was measured of another dataset, whose collection this one was made from."""
    tensor.checksum_rows = 1
    tensor.statistics = None
    for band in tensor.bands:
        band.statistics = None
    for item in tensor.classes:
        item.count = item.percentage = None


def _describe(tensor: Tensor, measures: Measures) -> None:
    if tensor.classes and measures.classes is not None:
        _count_classes(tensor, measures.classes)
        return
    if measures.bands is None:
        return
    summaries = [band.summary() for band in measures.bands]
    if tensor.band_axis is None:
        if len(summaries) == 1 and summaries[0] is not None:
            tensor.statistics = Statistics(**summaries[0])
        return
    if not tensor.bands:
        tensor.bands = [Band() for _ in summaries]
    if len(summaries) == len(tensor.bands):
        for band, summary in zip(tensor.bands, summaries, strict=True):
            if summary is not None:
                band.statistics = Statistics(**summary)


def _count_classes(tensor: Tensor, counts: Mapping[int, int]) -> None:
    """How often each class occurs, and its share of the values that are data."""
    absent = {item.value for item in tensor.classes if item.nodata} | {tensor.nodata}
    total = sum(count for value, count in counts.items() if value not in absent)
    for item in tensor.classes:
        item.count = counts.get(item.value, 0)
        if total and item.value not in absent:
            item.percentage = 100 * item.count / total


def describe_extent(declared: Collection, summary: Summary) -> tuple[Extent, bool]:
    """Extent of all rows, and whether any of them is placed; what the rows do not say is as the author declared it."""
    extent = declared.extent.model_copy(deep=True)
    placed = declared.placed
    if summary.bbox is not None:
        extent.bbox = [list(summary.bbox)]
        placed = True
    if summary.interval is not None:
        first, last = (EPOCH + timedelta(microseconds=instant) for instant in summary.interval)
        extent.interval = [(first, last)]
    return extent, placed
