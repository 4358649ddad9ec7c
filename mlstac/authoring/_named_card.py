"""The card that says where a dataset is published: it goes there first, and takes the local one's place after."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mlstac.authoring._target import Target
from mlstac.cards import README, name_source
from mlstac.errors import StorageError
from mlstac.storage import redact


class NamedCard:
    """The card of a dataset that goes to a place.

    Parameters
    ----------
    target : Target
        The dataset's folder.
    page : bytes, optional
        The card there.
    beside : Path, optional
        The same with the place in it, in another folder; None where it is to go as it is.
    """

    def __init__(self, target: Target, page: bytes | None, beside: Path | None) -> None:
        self._target = target
        self._page = page
        self._beside = beside

    @property
    def paths(self) -> Mapping[str, Path]:
        """Files that go in the place of the folder's own, by name."""
        return {} if self._beside is None else {README: self._beside}

    def keep(self) -> None:
        """Name the place in the folder too: the dataset is there. A card that was edited meanwhile stays."""
        if self._beside is None:
            return
        with suppress(StorageError, OSError):  # nor where the folder cannot be written
            if self._target.read(README) == self._page:
                self._target.put(README, self._beside.read_bytes())


@contextmanager
def named_card(root: Path, url: str) -> Iterator[NamedCard]:
    """The card with the place in it, unless it is somebody's own, or names a place already.

    It goes as it is where this machine has no room for another, as one that is read alone: the dataset is what counts.
    """
    target = Target(root)
    page = beside = None
    with ExitStack() as stack:
        with suppress(StorageError, OSError):
            page = target.read(README)
            named = name_source(page, redact(url).rstrip("/"))
            if named != page:
                folder = stack.enter_context(TemporaryDirectory(prefix="mlstac-", ignore_cleanup_errors=True))
                Path(folder, README).write_bytes(named)
                beside = Path(folder, README)
        yield NamedCard(target, page, beside)
