"""A text before the ids that samples bring, so that those of two sources stay apart."""

import copy
from typing import Any

from mlstac.authoring._samples import as_sample
from mlstac.errors import InvalidArgumentError


class Prefix:
    """What `append` puts before ids.

    Parameters
    ----------
    text : str

    Raises
    ------
    InvalidArgumentError
        If it is no text.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidArgumentError(
                f"id_prefix={text!r} is of type {type(text).__name__}; give a text, such as 'b/'"
            )
        self._text = text

    def put(self, given: Any) -> Any:
        """The sample under its longer id; one without an id is handed on, and numbered as all are."""
        if type(given) is dict:  # of arrays alone
            return given
        sample = as_sample(given)
        if sample.id is None:
            return given
        named = copy.copy(sample)  # the author's own stays as it is
        named.id = self._text + sample.id
        return named


class Prefixed:
    """Samples that have an index, under their longer ids."""

    def __init__(self, samples: Any, prefix: Prefix) -> None:
        self._samples = samples
        self._prefix = prefix

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, at: int) -> Any:
        return self._prefix.put(self._samples[at])
