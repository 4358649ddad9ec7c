"""paddle.io.DataLoader, as paddle's users know it: and uint16 never as the bits of bfloat16."""

import pickle

import numpy as np
import paddle
import pytest

import mlstac
from mlstac.frameworks import WidenedWarning


@pytest.fixture
def ds(bands):
    with pytest.warns(WidenedWarning, match="'input' from U16 to I32"):
        return mlstac.load(bands, framework="paddle")


def test_samples_and_batches_have_wider_integers(ds, truth):
    assert ds[4]["input"].dtype == paddle.int32
    np.testing.assert_array_equal(ds[4]["input"].numpy(), truth["input"][4])
    got = np.concatenate([batch["input"].numpy() for batch in ds.batches(16)])
    np.testing.assert_array_equal(got, truth["input"])


def test_widening_is_said_once_at_the_line_that_loads(bands):
    with pytest.warns(WidenedWarning) as caught:
        ds = mlstac.load(bands, framework="paddle")
    assert [warning.filename for warning in caught] == [__file__]
    assert "as_dtype={'input': 'int32'} asks for the same" in str(caught[0].message)
    same = mlstac.load(bands, framework="paddle", as_dtype={"input": "int32"})  # and nothing is said
    assert same[0]["input"].dtype == paddle.int32
    with pytest.warns(WidenedWarning) as caught:
        mlstac.load(bands, framework="numpy").with_framework("paddle")
    assert [warning.filename for warning in caught] == [__file__]
    # warnings are errors here: what is chosen later says nothing, nor does a worker that is sent it
    again = pickle.loads(pickle.dumps(ds.select(tensors=["input"]).window(y=slice(0, 4), x=slice(0, 4))))
    assert again[0]["input"].dtype == paddle.int32


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_goes_into_the_dataloader(bands, truth_file, workers, run):
    script = """
        import sys, warnings
        import numpy as np
        import mlstac
        from mlstac.frameworks import WidenedWarning
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WidenedWarning)
            ds = mlstac.load(sys.argv[1], framework="paddle")
        truth = np.load(sys.argv[2])
        ds[0]  # used here before workers are forked
        import paddle
        got = list(paddle.io.DataLoader(ds, batch_size=16, num_workers=int(sys.argv[3])))
        assert [batch["input"].shape[0] for batch in got] == [16, 16, 16, 12]
        assert {batch["input"].dtype for batch in got} == {paddle.int32}
        for name in truth:
            assert np.array_equal(np.concatenate([batch[name].numpy() for batch in got]), truth[name]), name
        print("ok")
    """
    assert run(script, bands, truth_file, workers) == "ok\n"


def test_bfloat16_survives_the_workers_and_float8_is_refused_there(run):
    # paddle alone knows of bfloat16 in numpy's uint16; a worker that makes a tensor instead dies
    script = """
        import threading
        import ml_dtypes, numpy as np
        from mlstac.frameworks import get_adapter
        adapter = get_adapter("paddle")
        import paddle

        class Samples(paddle.io.Dataset):
            def __init__(self, dtype, values):
                self.dtype, self.values = dtype, values
            def __len__(self):
                return len(self.values)
            def __getitem__(self, index):
                return adapter.decode(self.values[index].view(np.uint8), self.dtype, (3,), owned=False)

        values = np.array([[1, -2.5, 3e38], [0, -0.0, 7]], ml_dtypes.bfloat16)
        (batch,) = paddle.io.DataLoader(Samples("BF16", values), batch_size=2, num_workers=1)
        assert batch.dtype == paddle.bfloat16 and batch.numpy().tobytes() == values.tobytes()
        seen, told = [], threading.Event()

        def tell(caught):
            seen.append(str(caught.exc_value))
            told.set()

        threading.excepthook = tell  # paddle reads in a thread, which ends this loop first and says why after
        try:
            list(paddle.io.DataLoader(Samples("F8_E5M2", np.zeros((1, 3), np.uint8)), num_workers=1))
        except Exception:
            assert told.wait(60)
            assert "paddle's workers cannot send F8_E5M2" in seen[0], seen
            print("refused")
    """
    assert run(script).endswith("refused\n")


def test_a_layer_trains(ds):
    paddle.seed(0)
    layer = paddle.nn.Linear(3, 3)
    optimizer = paddle.optimizer.Adam(0.2, parameters=layer.parameters())
    losses = []
    for epoch in range(8):
        for batch in ds.batches(20, shuffle=True, epoch=epoch):
            features = batch["input"].astype("float32").mean([2, 3]) / 4000
            loss = paddle.nn.functional.cross_entropy(layer(features), batch["label"].astype("int64"))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(float(loss))
    assert losses[-1] < losses[0] / 2
