"""Do the sections agree with each other?

Asked of a draft in which any section may be missing because it is wrong by itself: then what depends on it is
not asked, so that no mistake is told twice.
"""

import os.path
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from agent.settings.credentials import arn_partition, partition_of
from agent.settings.draft import Draft
from agent.settings.mistakes import Mistake, nearest, shown, shown_word
from agent.settings.publishing import S3, Directory, Https
from agent.settings.succession import unfit
from agent.settings.tokens import FromFile, SelfSigned
from agent.spans import spell_duration
from agent.tokens import MOST_TAGS, one_tag


def disagreements(draft: Draft) -> Iterator[Mistake]:
    """Find what is wrong between sections."""
    yield from _issuing(draft)
    yield from unfit(draft)
    yield from _publishing(draft)
    yield from _roles(draft)
    yield from _grants(draft)
    yield from _pinned(draft)
    yield from _exposed(draft)


def _pinned(draft: Draft) -> Iterator[Mistake]:
    """Roles that want a list in our tokens get one."""
    files, identity = draft.infrastructure, draft.identity
    if files and files.require_pinning and isinstance(identity, SelfSigned) and not identity.pin_roles:
        said = "cannot be true while identity.pin_roles is false: no token would be taken"
        yield Mistake("infrastructure.require_pinning", said)


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


def _publishing(draft: Draft) -> Iterator[Mistake]:
    """What publishes is not in the way of anything else."""
    place = draft.publishing
    if isinstance(place, Https) and draft.listen is not None:
        for word in ("credentials", "admin"):
            if place.listen.collides(getattr(draft.listen, word)):
                yield Mistake("publishing.listen", f"is the address of listen.{word}, too; give it another port")
    if isinstance(place, S3) and place.credentials.startswith("role:"):
        yield from _publisher(place, draft)


def _publisher(place: S3, draft: Draft) -> Iterator[Mistake]:
    """The role that publishes is one of ours, and of the bucket's partition."""
    name = place.credentials.removeprefix("role:")
    written = draft.words.get("roles")
    known = list(written) if isinstance(written, Mapping) else []
    if known and name not in known:
        said = f"{shown(name)} is none of the roles of this file{nearest(name, known)}"
        yield Mistake("publishing.credentials", said)
    role = draft.roles.get(name)
    partition = partition_of(place.region)
    if role is not None and arn_partition(role.arn) != partition:
        said = f"{shown(place.region)} is in partition {partition}, but the role {shown(name)} in another"
        yield Mistake(
            "publishing.region", f"{said}, {arn_partition(role.arn)}, whose credentials S3 does not know there"
        )


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
        harmless = not isinstance(path, Path) or word.endswith((".module", ".ca_bundle"))
        if not harmless and Path(os.path.normpath(str(path))).is_relative_to(shown_to_all):
            yield Mistake(word, "is in publishing.directory, which is shown to the world; move one of them elsewhere")
