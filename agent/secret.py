"""How does a secret avoid being printed?"""

import hmac
from typing import Final, NoReturn, Self


class Secret:
    """A string that shows itself only to `reveal()`: not to repr, format, logs, tracebacks or pickle."""

    __slots__ = ("_value",)
    _value: Final[str]

    def __init__(self, value: str) -> None:
        """Keep `value` out of sight."""
        self._value = value

    def reveal(self) -> str:
        """Give the secret away. Every caller of this is a reader of secrets: `grep -r 'reveal('`."""
        return self._value

    def __repr__(self) -> str:
        """Hide."""
        return "Secret(…)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Compare in a time that tells nothing of where two secrets differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        """Two equal secrets are one key."""
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        """Refuse to be written anywhere."""
        message = "a Secret is not to be pickled"
        raise TypeError(message)

    def __copy__(self) -> Self:
        """Secrets never change, so a copy is the secret itself."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Secrets never change, so a copy is the secret itself."""
        return self
