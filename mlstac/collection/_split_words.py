"""What other standards call the splits: one table, so that no two exports differ."""

from __future__ import annotations

from typing import Final, NamedTuple


class SplitWords(NamedTuple):
    """One split in the words of each standard."""

    ml_aoi: str
    """``ml-aoi:split`` of STAC's ML-AOI extension."""
    tdml: str
    """``trainingType`` of TrainingDML-AI."""
    croissant: str
    """The term that Croissant gives to records of the split."""


SPLIT_WORDS: Final = {
    "train": SplitWords(ml_aoi="train", tdml="training", croissant="cr:TrainingSplit"),
    "validation": SplitWords(ml_aoi="validate", tdml="validation", croissant="cr:ValidationSplit"),
    "test": SplitWords(ml_aoi="test", tdml="test", croissant="cr:TestSplit"),
}
"""The splits that every dataset has; an author's own splits have no word elsewhere."""

ML_AOI_SPLITS: Final = {split: words.ml_aoi for split, words in SPLIT_WORDS.items()}
"""Words of ``ml-aoi:split`` for the splits that it knows; others have none."""


def split_words(split: str) -> SplitWords | None:
    """Give a split's words; none for one of an author's own, which it would be a guess to call one of the three."""
    return SPLIT_WORDS.get(split)


def split_of_word(word: str) -> str | None:
    """Find the split that a word of any of the standards stands for, or None."""
    return next((name for name, words in SPLIT_WORDS.items() if word == name or word in words), None)
