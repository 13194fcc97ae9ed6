"""What is behind the paths of the listener that the programs of this machine ask?"""

from collections.abc import Mapping

from agent.web import Answered, Asked, Label, Output


class LocalOutput:
    """Several outputs on one listener, each at its own path; all else is asked of the first."""

    def __init__(self, first: Output, further: Mapping[str, Output]) -> None:
        """`further` are outputs by their one path, as it is sent."""
        self._first = first
        self._further = dict(further)

    def label(self, path: str) -> Label:
        """What metrics call requests for a path."""
        return self._at(path).label(path)

    async def answer(self, asked: Asked) -> Answered:
        """What the output at that path answers. Raises what it raises."""
        return await self._at(asked.path).answer(asked)

    def ready(self, asked: Asked) -> Answered | None:
        """The same, if it can be given at once."""
        return self._at(asked.path).ready(asked)

    def _at(self, path: str) -> Output:
        return self._further.get(path, self._first)
