"""Names of sample files in the original ML-STAC: the sample's number in base 61."""

from mlstac.errors import InvalidArgumentError

ALPHABET = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The digits, in the order of ASCII: no 0, which fills names up to their width, and 1 for zero."""

WIDTH = 7


def sample_name(number: int) -> str:
    """Name of a sample by its number: ``0000001`` for 0, ``000000A`` for 9, ``0000021`` for 61.

    Raises
    ------
    InvalidArgumentError
        If the number is negative.
    """
    if number < 0:
        raise InvalidArgumentError(f"samples are numbered from 0 on, and {number} is below it")
    digits = ""
    while True:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
        if not number:
            return digits.rjust(WIDTH, "0")


def sample_number(name: str) -> int:
    """Number of a sample by its name.

    Raises
    ------
    InvalidArgumentError
        If it is no such name.
    """
    number = 0
    digits = name.lstrip("0")
    if not digits:
        raise InvalidArgumentError(f"{name[:40]!r} is no name of a sample, which has digits of 1-9, A-Z and a-z")
    for digit in digits:
        value = ALPHABET.find(digit)
        if value < 0:
            raise InvalidArgumentError(f"{name[:40]!r} is no name of a sample: {digit!r} is none of its digits")
        number = number * len(ALPHABET) + value
    return number
