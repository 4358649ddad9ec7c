"""Lists on the command line: words with commas, and with blanks around them or without."""

from mlstac.cli._misuse import MisuseError


def read_list(text: str | None, *, option: str) -> list[str] | None:
    """Read the words of a list; None where the option is not given.

    Raises
    ------
    MisuseError
        If nothing is between two commas, or before or behind the only one.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        where = "in it" if len(words) == 1 else "beside a comma"
        raise MisuseError(f"{option} {text!r} has no word {where}; write words with commas between them")
    return words
