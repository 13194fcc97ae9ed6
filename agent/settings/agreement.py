"""Do the sections agree with each other?

Asked of a draft in which any section may be missing because it is wrong by itself: then what depends on it is
not asked, so that no mistake is told twice.
"""

import os.path
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from agent.settings.callers import Grant
from agent.settings.credentials import Role, Sts, arn_partition, partition_of
from agent.settings.keys import Key, makes_keys
from agent.settings.mistakes import Mistake, nearest, shown, shown_word
from agent.settings.outputs import Listen, Log
from agent.settings.publishing import S3, Directory, Https, Publishing
from agent.settings.rotation import Rotation
from agent.settings.spelling import spell_duration
from agent.settings.tokens import FromFile, Identity, Issuer, SelfSigned
from agent.tokens import MOST_TAGS, one_tag


@dataclass(slots=True)
class Draft:
    """What has been read of a configuration. `words` are its tables by name, as written, the wrong ones too."""

    words: Mapping[str, object] = field(repr=False)  # secrets that are about to be refused may be among them
    issuer: Issuer | None = None
    key: Key | None = None
    next_key: Key | None = None
    rotation: Rotation | None = None
    identity: Identity | None = None
    sts: Sts | None = None
    roles: dict[str, Role] = field(default_factory=dict)
    grants: dict[int, Grant] = field(default_factory=dict)
    publishing: Publishing | None = None
    listen: Listen | None = None
    log: Log | None = None


def disagreements(draft: Draft) -> Iterator[Mistake]:
    """Find what is wrong between sections."""
    yield from _issuing(draft)
    yield from _rotating(draft)
    yield from _publishing(draft)
    yield from _roles(draft)
    yield from _grants(draft)
    yield from _exposed(draft)


def _issuing(draft: Draft) -> Iterator[Mistake]:
    """Tokens that we sign need an issuer and a key; so do documents that we publish."""
    needed = ""
    if isinstance(draft.identity, SelfSigned):
        needed = 'identity.source = "self_signed"'
    elif "publishing" in draft.words:
        needed = "[publishing]"
    if needed and "issuer" not in draft.words:
        yield Mistake("issuer", f'is missing; {needed} needs it: [issuer] with url = "https://oidc.example.com"')
    if needed and "key" not in draft.words:
        yield Mistake(
            "key",
            f'is missing; {needed} needs it: [key] with custodian = "pem" and directory = "/var/lib/rolecall/keys"',
        )


def _roles(draft: Draft) -> Iterator[Mistake]:
    common = draft.identity.tags if isinstance(draft.identity, SelfSigned) else {}
    for name, role in draft.roles.items():
        partition = arn_partition(role.arn)
        if draft.sts and partition != partition_of(draft.sts.region):
            yield Mistake(
                f"roles.{name}.arn",
                f"is in partition {partition}, but sts.region {shown(draft.sts.region)} is in "
                f"{partition_of(draft.sts.region)}; the STS of one partition knows no roles of another",
            )
        if role.tags and isinstance(draft.identity, FromFile):
            yield Mistake(
                f"roles.{name}.tags",
                'means nothing with identity.source = "file": tags are part of a token, and we do not make that one',
            )
        both = dict.fromkeys((*common, *role.tags))
        if len(both) > MOST_TAGS:
            said = f"comes to more than {MOST_TAGS} tags with identity.tags; AWS takes at most {MOST_TAGS}"
            yield Mistake(f"roles.{name}.tags", said)
        if pair := one_tag(both):
            yield Mistake(
                f"roles.{name}.tags.{shown_word(pair[1])}",
                f"is {shown(pair[0])} of identity.tags in other capitals; to AWS they are one tag: write it as there",
            )


def _grants(draft: Draft) -> Iterator[Mistake]:
    written = draft.words.get("roles")
    known = list(written) if isinstance(written, Mapping) else []
    overlaps: dict[Path, tuple[int, timedelta]] = {}
    for number, grant in draft.grants.items():
        for place, name in enumerate(grant.roles, start=1):
            if known and name not in known:
                said = f"{shown(name)} is none of the roles of this file{nearest(name, known)}"
                yield Mistake(f"grants#{number}.roles#{place}", said)
        for token_file in grant.token_file:
            first, overlap = overlaps.setdefault(token_file, (number, grant.token_overlap))
            if overlap != grant.token_overlap:
                yield Mistake(
                    f"grants#{number}.token_overlap",
                    f"is {spell_duration(grant.token_overlap)}, but {spell_duration(overlap)} in grants#{first} "
                    "for the same token_file; write the same in both",
                )


def _rotating(draft: Draft) -> Iterator[Mistake]:
    """A rotation needs keys to rotate to."""
    if draft.key is None or draft.rotation is None or "automatic" not in draft.rotation.model_fields_set:
        return
    if draft.rotation.automatic and not makes_keys(draft.next_key or draft.key):
        where = "key.next" if draft.next_key else "key"
        said = f"cannot be true: the agent makes no keys where [{where}] has them; give it a place where it may"
        yield Mistake("rotation.automatic", f"{said} (key.directory, make_keys), or name the next key in [key.next]")


def _publishing(draft: Draft) -> Iterator[Mistake]:
    """What publishes is not in the way of anything else."""
    place = draft.publishing
    if isinstance(place, Https) and draft.listen is not None:
        for word in ("credentials", "admin"):
            if place.listen.collides(getattr(draft.listen, word)):
                yield Mistake("publishing.listen", f"is the address of listen.{word}, too; give it another port")
    if isinstance(place, S3) and place.credentials.startswith("role:"):
        name = place.credentials.removeprefix("role:")
        written = draft.words.get("roles")
        known = list(written) if isinstance(written, Mapping) else []
        if known and name not in known:
            said = f"{shown(name)} is none of the roles of this file{nearest(name, known)}"
            yield Mistake("publishing.credentials", said)


def _exposed(draft: Draft) -> Iterator[Mistake]:
    """Nothing secret may stand where the world reads."""
    if not isinstance(draft.publishing, Directory):
        return
    shown_to_all = Path(os.path.normpath(draft.publishing.directory))
    secret: list[tuple[str, object]] = []
    for table, key in (("key", draft.key), ("key.next", draft.next_key)):
        secret += [(f"{table}.{word}", getattr(key, word)) for word in type(key).model_fields] if key else []
    secret += [(f"grants#{n}.token_file", path) for n, grant in draft.grants.items() for path in grant.token_file]
    if draft.rotation is not None:
        secret.append(("rotation.state", draft.rotation.state))
    for word, path in secret:
        public = isinstance(path, Path) and not word.endswith((".module", ".ca_bundle"))
        if public and Path(os.path.normpath(str(path))).is_relative_to(shown_to_all):
            yield Mistake(word, "is in publishing.directory, which is shown to the world; move one of them elsewhere")
