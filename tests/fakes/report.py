"""A listener that remembers what it was told."""

from typing import TypeVar

from agent.events import Event

T = TypeVar("T")


class Reported(list[Event]):
    """All events in order; call it to report one."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type[T]) -> list[T]:
        """Those of one kind."""
        return [event for event in self if isinstance(event, kind)]
