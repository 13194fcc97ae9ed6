"""Real clients, unmodified, in every scene: they do what is expected of them, and what docs/conformance.md says."""

from pathlib import Path

import pytest

from tests.conformance.cast import CAST, Client
from tests.conformance.paper import PAPER, paper, releases_on, seen_on
from tests.conformance.scenes import BY_LENGTH, SCENES, Scene, played


# What takes longest begins first, so that nobody waits for it alone at the end.
@pytest.mark.parametrize("scene", BY_LENGTH, ids=lambda scene: scene.name)
@pytest.mark.timeout(300)
@pytest.mark.long
async def test_every_client_does_what_is_expected_and_what_the_table_says(scene: Scene, tmp_path: Path) -> None:
    here = [client for client in CAST if not client.lacks()]
    if not here:
        pytest.skip("there is no client here")
    seen = await played(scene, tmp_path, here)
    assert seen == {client.name: scene.word(client) for client in here}
    told = seen_on(PAPER.read_text())[scene.name]
    assert seen == {client.name: told[client.name] for client in here}


@pytest.mark.parametrize("client", CAST, ids=lambda client: client.name)
@pytest.mark.long
def test_every_client_is_here(client: Client) -> None:
    if reason := client.lacks():
        pytest.skip(reason)
    assert client.release()


def test_the_paper_is_what_the_suite_writes_of_what_is_expected() -> None:
    expected = {scene.name: {client.name: scene.word(client) for client in CAST} for scene in SCENES}
    text = PAPER.read_text()
    assert seen_on(text) == expected
    assert text == paper(expected, releases_on(text)), "run: make conformance"


def test_each_deviation_is_told_of_with_what_to_do() -> None:
    for scene in SCENES:
        assert scene.apart.keys() <= {client.name for client in CAST}
        assert scene.operator
        assert not set(scene.apart.values()) & {scene.expected}
