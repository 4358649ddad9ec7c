"""Numbers of class folders: those of the classes that are named for them, or of the order of their names."""

from collections.abc import Sequence

from mlstac.collection import Class
from mlstac.errors import InvalidArgumentError

_SHOWN = 20
"""Folders or classes that a message lists."""


def number_folders(folders: Sequence[str], classes: Sequence[Class]) -> dict[str, int]:
    """Give each class folder the value of the class that it is.

    Parameters
    ----------
    folders : sequence of str
        Names of the folders, sorted.
    classes : sequence of Class
        What is said of the label. Either each is called as a folder is, by title or name, in whatever case and with
        whatever between the words (``sea_lake`` is ``SeaLake``): then the folder has the value of its class. Or none
        is: then they are new names, by value, for the folders in their order, which for whole numbers is that of the
        numbers; the values are then 0, 1, 2 … or the numbers that the folders are called by.

    Returns
    -------
    dict of str to int
        Value of each folder.

    Raises
    ------
    InvalidArgumentError
        If the classes are more or fewer than the folders, if some are called as folders are and some are not, or if
        new names have other values; lists the folders.
    """
    there = f"the folders are {_listed(folders)}"
    if len(classes) != len(folders):
        given = _listed([item.label for item in classes]) or "none"
        raise InvalidArgumentError(
            f"{_count(len(classes), 'class')} ({given}) cannot stand for {_count(len(folders), 'folder')}; {there}: "
            "give one class for each"
        )
    named = {item.value: _folder_of(item, folders) for item in classes}
    if set(named.values()) == set(folders):
        return {folder: value for value, folder in named.items() if folder is not None}
    if any(folder is not None for folder in named.values()):
        strange = _listed([item.label for item in classes if named[item.value] is None])
        lacking = _listed([folder for folder in folders if folder not in named.values()])
        what = f"no folder is called {strange}" if strange else "a folder is named twice"
        raise InvalidArgumentError(
            f"{what}, and no class is called {lacking}; {there}: name each of them once, in the order of the numbers "
            "that you want, or give new names to all"
        )
    numeric = all(folder.isdecimal() for folder in folders)
    numbers = sorted(int(folder) for folder in folders) if numeric else []
    values = sorted(named)
    if values not in (list(range(len(folders))), numbers):
        raise InvalidArgumentError(
            f"nothing says which folders the values {_listed(values)} are; {there}: name the classes as "
            f"the folders, or give new names the values 0 to {len(folders) - 1}, in the order of the folders"
        )
    return dict(zip(sorted(folders, key=int) if numeric else folders, values, strict=True))


def _folder_of(item: Class, folders: Sequence[str]) -> str | None:
    """The folder that a class is called by: to the letter, or else the one that is so but for case and signs."""
    for called in (item.label, item.name):
        if called in folders:
            return called
    for called in (item.label, item.name):
        alike = [folder for folder in folders if _bare(called) and _bare(folder) == _bare(called)]
        if len(alike) == 1:
            return alike[0]
    return None


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _listed(words: Sequence[str | int]) -> str:
    """The first of some words, and how many there are."""
    shown = ", ".join(map(repr, words[:_SHOWN]))
    return shown if len(words) <= _SHOWN else f"{shown} … ({len(words)} in all)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"
