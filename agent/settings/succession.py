"""How does one key follow another, by all that is written?

Where keys are, where they are published and what [rotation] says have to go together for that.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from agent.ring import least_kept
from agent.settings.draft import Draft
from agent.settings.keys import Key, Pem, Tpm2, makes_keys, place_of
from agent.settings.lifetimes import longest_token
from agent.settings.mistakes import Mistake, shown
from agent.settings.rotation import Rotation, fits
from agent.settings.tokens import signs
from agent.spans import spell_duration

#: How long API Gateway keeps a key set, whatever it was told.
_API_GATEWAY: Final = timedelta(hours=2)


def ring_place(key: Key, usual: Path) -> Path:
    """The directory of the ring of keys, if nothing is said of it: beside keys that are files in a directory."""
    return (key.directory if isinstance(key, Pem | Tpm2) else None) or usual


def rotation_of(draft: Draft) -> Rotation | None:
    """What [rotation] says; without it, keys that the agent makes itself and publishes itself follow one another.

    None where one key signs for good. Where no key can be made, none is made automatically; `state` is always set.
    """
    if draft.key is None or not signs(draft.identity):
        return None
    able = makes_keys(draft.next_key or draft.key)
    rotation = draft.rotation
    if rotation is None:
        if draft.next_key is None and not (draft.publishing is not None and able):
            return None
        rotation = Rotation.model_validate({})
    settled: dict[str, object] = {"state": rotation.state or ring_place(draft.key, draft.state)}
    if "keep" not in rotation.model_fields_set and (usual := usual_keep(longest_token(draft))) != rotation.keep:
        settled["keep"] = usual
    if not able:
        settled["automatic"] = False
    return rotation.model_copy(update=settled)


def unfit(draft: Draft) -> Iterator[Mistake]:
    """A rotation needs keys to rotate to, a place that stays where it is, and readers who see a key before it signs."""
    if draft.key is None or not signs(draft.identity) or _wrong_by_themselves(draft):
        return
    if draft.next_key is not None:
        yield from _moving(draft.key, draft.next_key, draft)
    if draft.rotation is not None:
        where = "key.next" if draft.next_key else "key"
        yield from _making(draft.rotation, draft.next_key or draft.key, where)
    rules = rotation_of(draft)
    if rules is not None:
        yield from _too_short(rules, draft)


def usual_keep(longest: timedelta) -> timedelta:
    """For how long a key is shown after it has signed last, where nobody says: a day, or until tokens are over."""
    return max(timedelta(hours=24), least_kept(longest))


def _too_short(rules: Rotation, draft: Draft) -> Iterator[Mistake]:
    """A key is shown for as long as others need it: before it signs, and afterwards."""
    longest = longest_token(draft)
    if rules.keep < (least := least_kept(longest)):
        said = f"tokens live for up to {spell_duration(longest)}, and their key has to be shown for longer than that"
        yield Mistake(
            "rotation.keep",
            f"is {spell_duration(rules.keep)}, but {said}; write {spell_duration(least)} or more, or leave it out",
        )
    if draft.publishing is None:
        return
    # A cache before the issuer may keep the old key set for so long, and whoever reads that, once more: for as long, or
    # as API Gateway does.
    kept = draft.publishing.max_age
    least = kept + max(kept, _API_GATEWAY)
    if rules.announce < least:
        said = f"readers, and a cache before them, may each keep a copy without the new key for {spell_duration(kept)}"
        if kept < _API_GATEWAY:
            said = (
                f"a cache may keep a copy without the new key for {spell_duration(kept)}, and API Gateway that for 2h"
            )
        yield Mistake(
            "rotation.announce",
            f"is {spell_duration(rules.announce)}, but {said} (publishing.max_age); write {spell_duration(least)} or "
            "more here, or less there",
        )


def _wrong_by_themselves(draft: Draft) -> bool:
    """Whether [rotation] or [key.next] is there and cannot be read."""
    key = draft.words.get("key")
    next_is_there = isinstance(key, Mapping) and "next" in key
    return ("rotation" in draft.words and draft.rotation is None) or (next_is_there and draft.next_key is None)


def _making(rotation: Rotation, maker: Key, where: str) -> Iterator[Mistake]:
    """Keys that nobody has to make by hand, of a kind that fits."""
    if rotation.automatic and "automatic" in rotation.model_fields_set and not makes_keys(maker):
        said = f"cannot be true: the agent makes no keys where [{where}] has them; let it (directory, make_keys)"
        yield Mistake("rotation.automatic", f"{said}, or write false, and name each next key in [key.next]")
    if rotation.kind and maker.algorithm and not fits(rotation.kind, maker.algorithm):
        said = f"{shown(rotation.kind)} cannot sign with {maker.algorithm}, which {where}.algorithm asks for"
        yield Mistake("rotation.kind", said)


def _moving(key: Key, following: Key, draft: Draft) -> Iterator[Mistake]:
    """[key.next] is another place, and the ring of keys stays where it is when it becomes [key]."""
    now, then = ring_place(key, draft.state), ring_place(following, draft.state)
    if place_of(following) == place_of(key):
        yield Mistake("key.next", "names the keys that [key] names; write the place to move to, or take it out")
    elif now != then and (draft.rotation is None or draft.rotation.state is None):
        said = "is missing; the ring of keys has to stay where it is when [key.next] takes the place of [key]"
        yield Mistake("rotation.state", f"{said}: write [rotation] with state = {_quoted(now)}")


def _quoted(path: Path) -> str:
    name = shown(str(path))
    return name if name.startswith('"') else "what key.directory is now"
