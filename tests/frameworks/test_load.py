"""The matrix of dtypes through the front door: written, loaded, sampled and batched as each framework's tensors."""

import pickle

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import DtypeError
from mlstac.frameworks import WidenedWarning
from tests.frameworks.patterns import FRAMEWORKS, NUMPY_DTYPES, WIDTHS, elements, raw_bytes

REFUSED = {
    "tensorflow": ("F8_E8M0",),
    "jax": ("I64", "U64", "F64"),  # without x64
    "paddle": ("F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"),
}
WIDENED = {"paddle": {"U16": "int32", "U32": "int64", "U64": "int64"}}
COUNT, SHAPE = 5, (2, 3)


@st.composite
def datasets(draw):
    """Bytes of a few samples of every dtype, NaN payloads, extremes and subnormals among them."""
    samples = []
    for _ in range(COUNT):
        sample = {}
        for dtype, width in WIDTHS.items():
            most = 2**63 - 1 if dtype == "U64" else None  # paddle has nothing wider; that it refuses has its own test
            values = draw(st.lists(elements(dtype), min_size=6, max_size=6))
            data = b"".join(min(value, most or value).to_bytes(width, "little") for value in values)
            sample[dtype.lower()] = np.frombuffer(data, NUMPY_DTYPES[dtype]).reshape(SHAPE)
        samples.append(sample)
    return samples


@pytest.mark.filterwarnings("ignore::mlstac.frameworks.WidenedWarning")
@settings(
    max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@given(samples=datasets())
def test_every_dtype_is_exact_or_as_announced_in_every_framework(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix") / "all"
    mlstac.write(samples, folder, id="all", license="CC0-1.0")
    plain = mlstac.load(folder, framework="numpy")
    for framework in FRAMEWORKS:
        names = [dtype.lower() for dtype in WIDTHS if dtype not in REFUSED.get(framework, ())]
        ds = plain.select(tensors=names).with_framework(framework)
        sample, (first, last) = ds[3], ds.batches(3)
        for dtype in map(str.upper, names):
            name = dtype.lower()
            wider = WIDENED.get(framework, {}).get(dtype)
            for tensor, expected in (
                (sample[name], samples[3][name]),
                (first[name], np.stack([each[name] for each in samples[:3]])),
                (last[name], np.stack([each[name] for each in samples[3:]])),
            ):
                assert tuple(tensor.shape) == expected.shape, (framework, dtype)
                judge = expected if wider is None else expected.astype(wider)
                assert raw_bytes(tensor) == judge.tobytes(), (framework, dtype)


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    folder = tmp_path_factory.mktemp("every") / "all"
    sample = {dtype.lower(): np.zeros(SHAPE, NUMPY_DTYPES[dtype]) for dtype in WIDTHS}
    mlstac.write([sample], folder, id="all", license="CC0-1.0")
    return folder


@pytest.mark.parametrize(("framework", "dtype"), [(name, dtype) for name in REFUSED for dtype in REFUSED[name]])
def test_what_a_framework_cannot_hold_is_refused_before_any_batch(every, framework, dtype):
    assert not jax.config.jax_enable_x64
    plain = mlstac.load(every, framework="numpy").select(tensors=[dtype.lower()])
    with pytest.raises(DtypeError, match=f"tensor '{dtype.lower()}': {framework} (cannot hold dtype|holds) {dtype}"):
        plain.with_framework(framework)
    with pytest.raises(DtypeError, match=framework):
        mlstac.load(every, framework=framework)


def test_as_dtype_is_what_every_framework_gets(every):
    targets = {dtype.lower(): "float32" for dtype in WIDTHS if dtype != "C64"}
    for framework in FRAMEWORKS:
        ds = mlstac.load(every, framework=framework, as_dtype=targets)  # nothing is widened, so nothing is said
        again = pickle.loads(pickle.dumps(ds))
        assert {np.asarray(ds[0][name]).dtype for name in targets} == {np.dtype("float32")}
        assert again.dtypes == ds.dtypes


def test_a_conversion_that_is_refused_names_its_tensor(every):
    with pytest.raises(DtypeError, match="tensor 'f16': cannot convert F16 to I32"):
        mlstac.load(every, framework="numpy", as_dtype={"u8": "int32", "f16": "int32"})


def test_what_jax_does_not_hold_is_told_with_what_can_be_had(tmp_path):
    def load(value, **options):
        mlstac.write([{"x": value}], tmp_path / "wide", id="wide", license="CC0-1.0", overwrite=True)
        return mlstac.load(tmp_path / "wide", framework="jax", **options)

    with pytest.raises(DtypeError, match="narrow=True to have F32, rounded to nearest"):
        load(np.ones(2))
    with pytest.raises(DtypeError, match="narrow=True to have I32, where an integer that does not fit is an error"):
        load(np.ones(2, np.int64))
    with pytest.raises(DtypeError, match=f"{2**31} of dtype I64 does not fit I32.*as_dtype='float32'"):
        load(np.array([2**31]), narrow=True)[0]
    assert load(np.array([2**31]), as_dtype="float32")[0]["x"].tolist() == [2.0**31]  # as the message says
    with jax.enable_x64(True):
        wide = load(np.array([2**31]))
        assert wide[0]["x"].tolist() == [2**31]
        with pytest.raises(DtypeError, match=r"every thread, as jax\.enable_x64\(\) does not"):
            list(wide.batches(1))


def test_a_value_that_paddle_has_no_room_for_is_an_error_that_names_it(tmp_path):
    samples = [{"x": np.array([1, 2**63 - 1], np.uint64)}, {"x": np.array([0, 2**63], np.uint64)}]
    mlstac.write(samples, tmp_path / "large", id="large", license="CC0-1.0")
    with pytest.warns(WidenedWarning):
        ds = mlstac.load(tmp_path / "large", framework="paddle")
    assert ds[0]["x"].tolist() == [1, 2**63 - 1]
    with pytest.raises(DtypeError, match=str(2**63)):
        ds[1]
    with pytest.raises(DtypeError, match=str(2**63)):
        list(ds.batches(2))
