"""What do all clients do in all scenes? Plays them and writes docs/conformance.md: python -m tests.conformance"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.cast import CAST
from tests.conformance.paper import PAPER, paper, releases
from tests.conformance.scenes import BY_LENGTH, SCENES, Scene, played
from tests.conformance.words import Words

#: How many scenes are played at once.
_STAGES = 2


async def seen_in(scenes: Iterable[Scene]) -> dict[str, Words]:
    """What was seen, by scene; they begin in the order given."""
    turns = asyncio.Semaphore(_STAGES)

    async def seen(scene: Scene) -> tuple[str, Words]:
        async with turns:
            started = time.monotonic()
            with TemporaryDirectory(prefix="rolecall-conformance-") as home:
                words = await played(scene, Path(home), CAST)
            _say(f"{scene.name}: {time.monotonic() - started:.0f} s")
            for client in CAST:
                if words[client.name] != scene.word(client):
                    _say(f"  {client.name}: {words[client.name]}, and expected was: {scene.word(client)}")
            return scene.name, words

    return dict(await asyncio.gather(*map(seen, scenes)))


def main() -> int:
    """Write the document, if all scenes were played; 1 if something is not as expected, 2 if a client is missing."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="only these, and write nothing")
    chosen = parser.parse_args().scenes
    if unknown := set(chosen) - {scene.name for scene in SCENES}:
        parser.error(f"no such scene: {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in SCENES)}")
    if lacking := [reason for client in CAST if (reason := client.lacks())]:
        _say("\n".join(["some clients are missing:", *lacking]))
        return 2
    seen = asyncio.run(seen_in([scene for scene in BY_LENGTH if not chosen or scene.name in chosen]))
    if not chosen:
        PAPER.write_text(paper(seen, releases(CAST)))
        _say(f"written: {PAPER}")
    expected = {scene.name: {client.name: scene.word(client) for client in CAST} for scene in SCENES}
    return int(any(words != expected[name] for name, words in seen.items()))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
