import pytest

from agent.callers import Origin, Peer
from agent.outputs.local import LocalOutput
from agent.web import Answered, Asked, Label


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def label(self, path: str) -> Label:  # noqa: ARG002 - the shape of an output
        return Label(self.name)

    async def answer(self, asked: Asked) -> Answered:
        return Answered("", f"{self.name} {asked.path}".encode())

    def ready(self, asked: Asked) -> Answered | None:
        return Answered("", f"ready {self.name} {asked.path}".encode())


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/token", "token"), ("/v1/token/", "first"), ("/v1/token/x", "first"), ("/v1/Token", "first"), ("/", "first")],
)
async def test_each_output_is_at_its_own_path_and_the_first_has_the_rest(path: str, name: str) -> None:
    output = LocalOutput(Named("first"), {"/v1/token": Named("token")})
    asked = Asked("GET", path, Peer(Origin("127.0.0.1"), None))
    assert (await output.answer(asked)).body == f"{name} {path}".encode()
    found = output.ready(asked)
    assert found is not None
    assert found.body == f"ready {name} {path}".encode()
    assert output.label(path) == (name, "")
