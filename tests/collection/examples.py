"""A collection that uses every field, and hypothesis strategies for any."""

import datetime as dt
import math

from hypothesis import strategies as st

from mlstac.collection import (
    COMMON_NAMES,
    DTYPES,
    SENSORS,
    TASKS,
    Asset,
    Band,
    Collection,
    Contact,
    Extent,
    Link,
    Provider,
    Split,
    Statistics,
    Tensor,
)


def flood(**fields):
    """Make a collection of chips with masks, as an author would, with every field filled."""
    statistics = Statistics(minimum=0, maximum=9000, mean=1200.5, stddev=300.25, count=4096, valid_percent=99.5)
    bands = [band.model_copy(update={"statistics": statistics}) for band in SENSORS["sentinel-2-l2a"]]
    told = {
        "id": "flood",
        "title": "Floods of Valencia",
        "description": "Chips of Sentinel-2 with masks of water.",
        "keywords": ["flood", "water"],
        "license": "CC-BY-4.0",
        "version": "1.2.0",
        "providers": [Provider(name="ESA", roles=["producer"], url="https://esa.int")],
        "contacts": [
            Contact(
                name="Ada",
                organization="University",
                position="Researcher",
                emails=["ada@example.org"],
                phones=["+34123456789"],
                roles=["author"],
                links=[Link(rel="about", href="https://example.org/ada", type="text/html")],
                logo=Link(rel="icon", href="https://example.org/ada.png", type="image/png"),
                addresses=[{"deliveryPoint": ["Street 1"], "city": "Valencia", "country": "ES"}],
            ),
            Contact(name="Bea", roles=["reviewer"]),
        ],
        "extent": Extent(bbox=(-0.5, 39.2, -0.2, 39.6), interval=("2024-10-29", "2024-11-05T12:00:00Z")),
        "summaries": {"cloud_cover": {"minimum": 0.0, "maximum": 12.5}, "proj:code": ["EPSG:32630"]},
        "doi": "10.5281/zenodo.123456",
        "citation": "Ada (2024): Floods.",
        "tasks": ["semantic-segmentation", "x-flood-mapping"],
        "tensors": {
            "input": Tensor(
                dtype="uint16", shape=(12, 64, 64), dims="band y x", bands=bands, nodata=0, scale=1e-4, offset=-0.1
            ),
            "target": Tensor(
                dtype="uint8",
                shape=(64, 64),
                dims="y x",
                role="label",
                nodata=255,
                classes={0: "land", 1: "open water"},
            ),
            "notes": Tensor(dtype="U8", media_type="text/plain", required=False, layout="jagged", checksum_rows=16),
        },
        "splits": {
            "train": Split(n_items=3, assets=["train-00000"]),
            "validation": Split(n_items=1, assets=["validation-00000"]),
            "test": Split(n_items=0),
        },
        "assets": {
            f"{split}-00000": Asset(
                href=f"./{split}/catalog-00000.parquet",
                type="application/vnd.apache.parquet",
                roles=["collection-mirror"],
                size=4096,
                checksum="1220" + "ab" * 32,
            )
            for split in ("train", "validation")
        },
        "split_strategy": "by location",
        "raw_data_url": "https://example.org/raw",
        "discussion_url": "https://example.org/talk",
        "paper": "https://doi.org/10.1000/182",
        "links": [Link(rel="about", href="https://example.org/flood", type="text/html")],
    }
    return Collection(**(told | fields))


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)
SIZES = st.one_of(st.none(), st.integers(0, 5000))
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), FLOATS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
# words that no version of the format has, in every place where a document may carry one
UNKNOWN = st.dictionaries(WORDS.map("zz:{}".format) | WORDS.map("zz_{}".format), JSON_VALUES, max_size=3)

STATISTICS = st.builds(
    Statistics, minimum=FLOATS, maximum=FLOATS, mean=FLOATS, stddev=FLOATS, count=st.integers(0, 2**60)
)
NODATA = st.one_of(
    st.none(), st.integers(-(2**63), 2**64 - 1), FLOATS, st.sampled_from([math.nan, math.inf, -math.inf])
)
BANDS = st.builds(
    Band,
    name=TEXT,
    description=st.none() | TEXT,
    common_name=st.none() | st.sampled_from(COMMON_NAMES),
    center_wavelength=st.none() | st.floats(0.1, 100),
    full_width_half_max=st.none() | st.floats(0.001, 100),
    nodata=NODATA,
    statistics=st.none() | STATISTICS,
)
CLASSES = st.dictionaries(st.integers(-5, 300), TEXT, max_size=5)


@st.composite
def tensors(draw):
    dims = draw(st.none() | st.lists(WORDS, max_size=4, unique=True))
    shape = draw(st.none() | st.lists(SIZES, min_size=len(dims or ()), max_size=len(dims) if dims is not None else 4))
    fields = {
        "dtype": draw(st.none() | st.sampled_from(sorted(DTYPES))),
        "dims": dims,
        "shape": shape,
        "role": draw(st.sampled_from(["data", "label"])),
        "required": draw(st.booleans()),
        "media_type": draw(st.none() | st.sampled_from(["text/plain", "image/png"])),
        "layout": draw(st.none() | st.sampled_from(["stacked", "jagged", "keyed", "single"])),
        "checksum_rows": draw(st.integers(1, 4096)),
        "classes": draw(CLASSES),
        "nodata": draw(NODATA),
        "scale": draw(st.none() | FLOATS),
        "offset": draw(st.none() | FLOATS),
        "unit": draw(st.none() | TEXT),
        "description": draw(st.none() | TEXT),
        "statistics": draw(st.none() | STATISTICS),
    }
    if dims is None or len(dims) < 2:
        fields["bands"] = draw(st.lists(BANDS, max_size=3 if dims is None else 1, unique_by=lambda band: band.name))
    return Tensor(**fields)


NAMES = TEXT.filter(
    lambda name: (
        name.strip() and "/" not in name and not name.startswith(".") and not name.endswith((".splits", ".rows"))
    )
)
SPLITS = st.from_regex(r"fold[0-9]{1,3}", fullmatch=True) | st.sampled_from(["train", "validation", "test"])
TIMES = st.datetimes(
    min_value=dt.datetime(1900, 1, 1),  # noqa: DTZ001  the strategy adds the zone
    timezones=st.just(dt.UTC),
)
INTERVALS = st.tuples(st.none() | TIMES, st.none() | TIMES).map(
    lambda pair: pair if None in pair else tuple(sorted(pair))
)
BOXES = st.tuples(st.floats(-180, 180), st.floats(-90, 0), st.floats(-180, 180), st.floats(0, 90)).map(list)

COLLECTIONS = st.builds(
    Collection,
    id=TEXT,
    title=st.none() | TEXT,
    description=TEXT,
    keywords=st.lists(TEXT, max_size=3),
    license=st.sampled_from(["CC-BY-4.0", "other", "MIT", "my-own"]),
    extent=st.builds(Extent, bbox=BOXES, interval=INTERVALS),
    tasks=st.lists(st.sampled_from(TASKS), max_size=3, unique=True),
    tensors=st.dictionaries(NAMES, tensors(), max_size=3),
    splits=st.dictionaries(SPLITS, st.builds(Split, n_items=st.integers(0, 2**40)), max_size=3),
    contacts=st.lists(st.builds(Contact, name=TEXT, roles=st.lists(TEXT, max_size=2)), max_size=2),
    placed=st.booleans(),
    split_strategy=st.none() | TEXT,
)


def classes_of(tensor):
    """Give value and name of each class."""
    return [(item.value, item.name) for item in tensor.classes]
