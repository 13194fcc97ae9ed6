from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from agent.keys import Algorithm, Kind
from agent.ring import LEAST_ANNOUNCED, LEAST_KEPT, LONGEST_BLINK, Rules
from agent.settings import Settings
from agent.settings.rotation import Rotation, fits

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


def section(words: str = "") -> tuple[str, str]:
    return "", f"\n[rotation]\n{words}\n"


def test_what_is_left_out_is_what_the_ring_goes_by_as_well(read: Read) -> None:
    found = read(section()).rotation
    assert found is not None
    assert Rules(found.every, found.announce, found.keep, found.kind) == Rules()
    assert (found.automatic, found.check) == (True, timedelta(minutes=10))


def test_everything_may_be_said(read: Read, tmp_path: Path) -> None:
    words = (
        'automatic = false\nevery = "30d"\nannounce = "2d"\nkeep = "3d"\ncheck = "5m"\nkind = "ec-p256"\nstate = "s"'
    )
    assert read(section(words)).rotation == Rotation.model_construct(
        automatic=False,
        every=timedelta(days=30),
        announce=timedelta(days=2),
        keep=timedelta(days=3),
        check=timedelta(minutes=5),
        kind="ec-p256",
        state=tmp_path / "s",
    )


@pytest.mark.parametrize(
    ("word", "least", "most"),
    [("announce", LEAST_ANNOUNCED, None), ("keep", LEAST_KEPT, None), ("check", None, LONGEST_BLINK)],
)
def test_the_bounds_are_those_of_the_iron_rule(
    word: str, least: timedelta | None, most: timedelta | None, read: Read, mistakes: Mistakes
) -> None:
    edge, step = (least, -1) if least is not None else (most, 1)
    assert edge is not None
    seconds = int(edge.total_seconds())
    found = read(section(f'{word} = "{seconds}s"')).rotation
    assert getattr(found, word) == edge
    (told,) = mistakes(section(f'{word} = "{seconds + step}s"'))
    assert told.startswith(f"rotation.{word}: ")


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_key_signs_with_something(kind: Kind) -> None:
    fitting = {algorithm for algorithm in get_args(Algorithm) if fits(kind, algorithm)}
    curves = {"ec-p256": {"ES256"}, "ec-p384": {"ES384"}, "ec-p521": {"ES512"}}
    assert fitting == curves.get(kind, {"RS256", "RS384", "RS512"})
