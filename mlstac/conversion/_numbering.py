"""Numbers of classes that a source names itself: those that the user gives the names, or the source's own."""

from collections.abc import Mapping, Sequence

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
    named = _name_each(folders, classes, "folder", there)
    if named is not None:
        return named
    numeric = all(folder.isdecimal() for folder in folders)
    numbers = sorted(int(folder) for folder in folders) if numeric else []
    values = sorted(item.value for item in classes)
    if values not in (list(range(len(folders))), numbers):
        raise InvalidArgumentError(
            f"nothing says which folders the values {_listed(values)} are; {there}: name the classes as "
            f"the folders, or give new names the values 0 to {len(folders) - 1}, in the order of the folders"
        )
    return dict(zip(sorted(folders, key=int) if numeric else folders, values, strict=True))


def renumber(source: Sequence[Class], classes: Sequence[Class], *, tensor: str) -> dict[int, int]:
    """Say which numbers of a source's label become which, where the classes that the user gives have others.

    Parameters
    ----------
    source : sequence of Class
        The classes as the source names and numbers them.
    classes : sequence of Class
        Those of the user. Either each of the source's is among them by name, as `number_folders` compares names: then
        its samples have the value of its class; classes beside them may be given where no number changes. Or none is:
        then they are new names for the same values.
    tensor : str
        The label's name, for messages.

    Returns
    -------
    dict of int to int
        New value of each old one; empty, where the source's stay.

    Raises
    ------
    InvalidArgumentError
        If some of the source's classes are named and some are not, or if new names are for other values; lists those
        of the source.
    """
    labels = [item.label for item in source]
    old = {item.label: item.value for item in source}
    there = f"the classes of {tensor!r} in the source are " + _listed([f"{item.value} {item.label}" for item in source])
    if len(old) < len(source):
        raise InvalidArgumentError(f"the source calls two classes of {tensor!r} alike; {there}: give them names apart")
    known = [item for item in classes if _called(item, labels) is not None]
    more = {item.value for item in classes} - {item.value for item in known}
    named = _name_each(labels, known if len(known) == len(source) else classes, "class of the source", there)
    if named is None:
        if {item.value for item in classes} != set(old.values()):
            given = _listed([f"{item.value} {item.label}" for item in classes]) or "none"
            raise InvalidArgumentError(
                f"the classes given ({given}) are called like none of the source's, and so must be new names for its "
                f"values; {there}: give each value one name, or name the source's classes in the order that you want"
            )
        return {}
    changed = {old[label]: value for label, value in named.items()}
    if all(value == to for value, to in changed.items()):
        return {}
    if more:
        raise InvalidArgumentError(
            f"the values {_listed(sorted(more))} are of no class that the source names, and the others change their "
            f"numbers; {there}: keep these numbers, or give those classes alone"
        )
    return changed


def agree_on_names(said: Mapping[str, list[str]], what: str) -> list[str]:
    """The names of classes that every split gives, in one order.

    Parameters
    ----------
    said : mapping of str to list of str
        Names by split; one split at the least.
    what : str
        Whose names they are, for messages.

    Raises
    ------
    InvalidArgumentError
        If a split gives others, or in another order.
    """
    first, names = next(iter(said.items()))
    for split, others in said.items():
        if others != names:
            raise InvalidArgumentError(
                f"split {split!r} gives {what!r} the names {_listed(others)}, and split {first!r} {_listed(names)}: "
                "one number would mean two things; give splits that number their classes alike"
            )
    return names


def _name_each(names: Sequence[str], classes: Sequence[Class], what: str, there: str) -> dict[str, int] | None:
    """The value of each name, of the class that is called so; None where none is.

    Raises
    ------
    InvalidArgumentError
        If some are.
    """
    called = {item.value: _called(item, names) for item in classes}
    if all(name is None for name in called.values()):
        return None
    if set(called.values()) == set(names) and len(called) == len(names):
        return {name: value for value, name in called.items() if name is not None}
    strange = _listed([item.label for item in classes if called[item.value] is None])
    lacking = _listed([name for name in names if name not in called.values()])
    wrong = f"no {what} is called {strange}" if strange else ""
    if not strange and len(set(called.values())) < len(called):
        wrong = f"a {what} is named twice"
    missing = f"no class is called {lacking}" if lacking else ""
    raise InvalidArgumentError(
        f"{', and '.join(filter(None, (wrong, missing)))}; {there}: name each of them once, in the order of the "
        "numbers that you want, or give new names to all"
    )


def _called(item: Class, names: Sequence[str]) -> str | None:
    """The name that a class is called by: to the letter, or else the one that is so but for case and signs."""
    for called in (item.label, item.name):
        if called in names:
            return called
    for called in (item.label, item.name):
        alike = [name for name in names if _bare(called) and _bare(name) == _bare(called)]
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
