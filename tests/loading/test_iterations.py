"""One position for all iterations over the same batches: a second ends the first aloud."""

import numpy as np
import pytest

import mlstac
from mlstac.errors import StateError
from tests.loading.datasets import write_stacked

COUNT = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 numbered images in six shards."""
    arrays = {
        "image": np.arange(COUNT * 4096, dtype=np.float32).reshape(COUNT, 64, 64),
        "number": np.arange(COUNT, dtype=np.int64),
    }
    return write_stacked(tmp_path_factory.mktemp("iterations"), {"train": arrays}, shard_rows=10)


@pytest.fixture(params=[0, 2], ids=["made when asked for", "made ahead"])
def batches(folder, request):
    return mlstac.load(folder, framework="numpy").batches(5, shuffle=True, seed=1, prefetch=request.param)


def numbers(batches):
    return [batch["number"].tolist() for batch in batches]


def test_batches_zipped_with_themselves_are_refused(batches):
    with pytest.raises(StateError, match="another was begun over the same batches"):
        list(zip(batches, batches, strict=True))


def test_a_look_at_the_first_batch_amid_a_loop_ends_the_loop_aloud(batches):
    def loop():
        for _ in batches:
            next(iter(batches))

    with pytest.raises(StateError, match="second object"):
        loop()


@pytest.mark.parametrize("move", ["set_epoch", "load_state_dict"])
def test_a_move_amid_an_iteration_ends_it_aloud_and_the_state_is_the_new_one(batches, move):
    iterator = iter(batches)
    next(iterator)
    state = batches.state_dict() | {"consumed": 50}
    if move == "set_epoch":
        batches.set_epoch(5)
    else:
        batches.load_state_dict(state)
    wanted = (5, 0) if move == "set_epoch" else (0, 50)
    with pytest.raises(StateError, match=move):
        next(iterator)
    assert (batches.state_dict()["epoch"], batches.state_dict()["consumed"]) == wanted
    assert len(numbers(batches)) == (60 - wanted[1]) // 5


def test_a_state_loaded_after_the_iterator_was_made_is_not_passed_over(batches):
    iterator = iter(batches)
    batches.load_state_dict(batches.state_dict() | {"consumed": 50})
    with pytest.raises(StateError, match="load_state_dict"):
        next(iterator)


def test_the_state_follows_the_newest_iteration(batches):
    old = iter(batches)
    for _ in range(4):
        next(old)
    new = iter(batches)
    next(new)
    assert batches.state_dict()["consumed"] == 5
    with pytest.raises(StateError):
        next(old)
    assert batches.state_dict()["consumed"] == 5
    assert len(list(new)) == 11


def test_an_iteration_that_was_used_up_stays_so(batches):
    iterator = iter(batches)
    whole = numbers(iterator)
    batches.set_epoch(0)
    assert numbers(batches) == whole
    assert next(iterator, None) is None


@pytest.mark.parametrize("made", ["batches", "stream"])
def test_an_epoch_that_is_told_before_the_first_batch_is_that_of_the_iterator(folder, batches, made):
    ds = mlstac.load(folder)
    if made == "stream":
        batches = ds.iterable(5, shuffle=True, seed=1)
    iterator = iter(batches)
    batches.set_epoch(3)
    expected = [batch["number"].tolist() for batch in ds.batches(5, shuffle=True, seed=1, epoch=3)]
    assert next(iterator)["number"].tolist() == expected[0]
    assert (batches.state_dict()["epoch"], batches.state_dict()["consumed"]) == (3, 5)
    assert numbers(iterator) == expected[1:]


def test_an_epoch_that_is_told_amid_the_making_of_the_first_batch_ends_the_iterator(folder):
    def tell(batch):
        if batches.epoch == 0:
            batches.set_epoch(1)
        return batch

    batches = mlstac.load(folder).batches(5, prefetch=0, transform=tell)
    iterator = iter(batches)
    next(iterator)  # of epoch 0
    with pytest.raises(StateError, match="set_epoch"):
        next(iterator)
    assert (batches.state_dict()["epoch"], batches.state_dict()["consumed"]) == (1, 0)


def test_an_iterator_whose_place_another_took_does_not_come_back(batches):
    first, second = iter(batches), iter(batches)
    batches.set_epoch(3)
    with pytest.raises(StateError, match="another was begun"):
        next(first)
    assert len(list(second)) == 12


def test_an_epoch_told_by_a_loop_leaves_the_place_in_it(batches):
    batches.load_state_dict(batches.state_dict() | {"consumed": 50, "epoch": 2})
    iterator = iter(batches)
    batches.batch_sampler.sampler.set_epoch(2)
    assert len(list(iterator)) == 2
    batches.batch_sampler.sampler.set_epoch(3)
    assert batches.epoch == 3
    assert len(list(batches)) == 12


def test_a_shuffled_epoch_that_comes_once_more_untold_is_said_once(batches, recwarn):
    first = numbers(batches)
    assert not recwarn
    with pytest.warns(UserWarning, match=r"the order of epoch 0 once more.*set_epoch\(epoch\)") as told:
        again = numbers(batches)
    assert told[0].filename == __file__
    assert again == first == numbers(batches)  # the third says nothing: it would be an error here


def test_an_epoch_that_is_told_comes_again_without_a_word(batches):
    first = numbers(batches)
    batches.set_epoch(0)
    assert numbers(batches) == first
    batches.set_epoch(1)
    assert numbers(batches) != first


def test_an_epoch_that_was_broken_off_begins_again_without_a_word(batches):
    next(iter(batches))
    for number, _ in enumerate(batches):
        if number == 10:
            break
    assert len(numbers(batches)) == 12


def test_a_state_of_the_end_of_an_epoch_is_gone_on_with_without_a_word(folder, batches):
    numbers(batches)
    other = mlstac.load(folder, framework="numpy").batches(5, shuffle=True, seed=1)
    other.load_state_dict(batches.state_dict())
    assert numbers(other) == []
    assert len(numbers(other)) == 12


@pytest.mark.parametrize("options", [{}, {"weights": [1] * COUNT}, {"shuffle": "block"}], ids=str)
def test_only_what_has_another_order_in_another_epoch_says_so(folder, options):
    batches = mlstac.load(folder, framework="numpy").batches(5, **options)
    numbers(batches)
    if options:
        with pytest.warns(UserWarning, match="once more"):
            numbers(batches)
    else:
        numbers(batches)
