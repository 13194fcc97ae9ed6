"""Do the sections agree with each other?

Asked of a draft in which any section may be missing because it is wrong by itself: then what depends on it is
not asked, so that no mistake is told twice.
"""

import os.path
from collections.abc import Iterator
from pathlib import Path

from agent.settings.cognito import Cognito, IdentityPoolRole
from agent.settings.credentials import StsRole, arn_partition, partition_of
from agent.settings.draft import Draft
from agent.settings.granting import unfit_grants, unknown_role
from agent.settings.keeping import unfit_files
from agent.settings.mistakes import Mistake, shown, shown_word
from agent.settings.oauth2 import OAuth2
from agent.settings.outputs import Address, numbered
from agent.settings.publishing import S3, Directory, Https
from agent.settings.purpose import needs_token, only_verifies
from agent.settings.succession import unfit
from agent.settings.token_granting import unfit_tokens
from agent.settings.tokens import FromFile, SelfSigned, signs
from agent.settings.verifying import unfit_rules
from agent.tokens import MOST_TAGS, one_tag


def disagreements(draft: Draft) -> Iterator[Mistake]:
    """Find what is wrong between sections."""
    yield from _issuing(draft)
    yield from unfit(draft)
    yield from _listening(draft)
    yield from _publishing(draft)
    yield from _roles(draft)
    yield from unfit_grants(draft)
    yield from unfit_tokens(draft)
    yield from unfit_files(draft)
    yield from _pinned(draft)
    yield from _exposed(draft)
    yield from _verifying(draft)


def _verifying(draft: Draft) -> Iterator[Mistake]:
    """Rules have a listener, and a listener rules; our own tokens can be meant where we make some."""
    signing = "issuer" in draft.words and "key" in draft.words
    yield from unfit_rules(draft.verify, signing=signing)
    if draft.listen is not None and draft.listen.verify is not None and "verify" not in draft.words:
        yield Mistake("listen.verify", "needs rules to verify by: add [verify.NAME] with its issuer and audiences")


def _pinned(draft: Draft) -> Iterator[Mistake]:
    """Roles that want a list in our tokens get one."""
    files, identity = draft.infrastructure, draft.identity
    if files and files.require_pinning and isinstance(identity, SelfSigned) and not identity.pin_roles:
        said = "cannot be true while identity.pin_roles is false: no token would be taken"
        yield Mistake("infrastructure.require_pinning", said)


def _issuing(draft: Draft) -> Iterator[Mistake]:
    """Tokens that we sign need an issuer and a key; so do documents that we publish."""
    needed = ""
    asked = "identity" in draft.words or needs_token(draft.words)
    if isinstance(draft.identity, SelfSigned) and asked:
        needed = 'identity.source = "self_signed"'
    elif signs(draft.identity) and asked:
        needed = 'identity.client_authentication = "private_key_jwt"'
    elif "publishing" in draft.words:
        needed = "[publishing]"
    elif only_verifies(draft.words):  # nothing needs either, but one alone was meant to sign
        needed = next((f"[{word}]" for word in ("issuer", "key", "rotation") if word in draft.words), "")
    if needed and "issuer" not in draft.words:
        yield Mistake("issuer", f'is missing; {needed} needs it: [issuer] with url = "https://oidc.example.com"')
    if needed and "key" not in draft.words:
        yield Mistake(
            "key",
            f'is missing; {needed} needs it: [key] with custodian = "pem" and directory = "/var/lib/rolecall/keys"',
        )


def _roles(draft: Draft) -> Iterator[Mistake]:
    for name, role in draft.roles.items():
        if isinstance(role, StsRole):
            yield from _role(draft, name, role)
        elif isinstance(role, IdentityPoolRole):
            yield from _pooled(draft, name, role)
        elif "identity_center" not in draft.words:
            said = 'needs [identity_center] with start_url = "https://example.awsapps.com/start" and region'
            yield Mistake(f"roles.{name}.source", said)


def _pooled(draft: Draft, name: str, role: IdentityPoolRole) -> Iterator[Mistake]:
    """An identity pool takes the user pool's sign-in, and is beside it."""
    if draft.identity is not None and not isinstance(draft.identity, Cognito):
        said = "needs a user that signs in to Amazon Cognito"
        yield Mistake(f"roles.{name}.source", f'{said}: [identity] with source = "cognito"')
    if isinstance(draft.identity, Cognito) and role.region != draft.identity.region:
        said = f"is in {shown(role.region)}, but identity.region is {shown(draft.identity.region)}"
        yield Mistake(f"roles.{name}.identity_pool", f"{said}; the two pools must be in one region")
    if draft.sts and arn_partition(role.arn) != partition_of(draft.sts.region):
        yield Mistake(
            f"roles.{name}.arn",
            f"is in partition {arn_partition(role.arn)}, but sts.region {shown(draft.sts.region)} is in "
            f"{partition_of(draft.sts.region)}",
        )


def _role(draft: Draft, name: str, role: StsRole) -> Iterator[Mistake]:
    common = draft.identity.tags if isinstance(draft.identity, SelfSigned) else {}
    partition = arn_partition(role.arn)
    if draft.sts and partition != partition_of(draft.sts.region):
        yield Mistake(
            f"roles.{name}.arn",
            f"is in partition {partition}, but sts.region {shown(draft.sts.region)} is in "
            f"{partition_of(draft.sts.region)}; the STS of one partition knows no roles of another",
        )
    if role.tags and isinstance(draft.identity, FromFile | OAuth2 | Cognito):
        yield Mistake(
            f"roles.{name}.tags",
            f'means nothing with identity.source = "{draft.identity.source}": tags are part of a token, and we do not '
            "make that one",
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


def _listening(draft: Draft) -> Iterator[Mistake]:
    """No two listeners have one address; those of [listen] have been compared with each other."""
    taken = [(f"listen.{word}", address) for word, address in draft.listen.addresses()] if draft.listen else []
    further: list[tuple[str, Address]] = []
    if draft.containers is not None:
        further += numbered("containers.listen", draft.containers.listen)
    if draft.aws_callers is not None:
        further.append(("aws_callers.listen", draft.aws_callers.listen))
    if draft.verify and draft.listen is not None and draft.listen.verify is None:
        further.append(("listen.verify", draft.listen.verify_address))
    if isinstance(draft.publishing, Https):
        further.append(("publishing.listen", draft.publishing.listen))
    for word, address in further:
        if other := next((other for other, theirs in taken if address.collides(theirs)), ""):
            yield Mistake(word, f"is the address of {other}, too; give it another port")
        taken.append((word, address))


def _publishing(draft: Draft) -> Iterator[Mistake]:
    """The role that publishes is one of ours, and of the bucket's partition."""
    place = draft.publishing
    if not isinstance(place, S3) or not place.credentials.startswith("role:"):
        return
    name = place.credentials.removeprefix("role:")
    yield from unknown_role(draft, name, "publishing.credentials")
    role = draft.roles.get(name)
    partition = partition_of(place.region)
    if isinstance(role, StsRole) and arn_partition(role.arn) != partition:
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
    secret += [(f"files#{n}.path", file.path) for n, file in draft.files.items()]
    if draft.aws_callers is not None:
        secret.append(("aws_callers.private_key", draft.aws_callers.private_key))
    kept = (
        ("unit_tokens", draft.unit_tokens, "secret"),
        ("rotation", draft.rotation, "state"),
        ("identity_center", draft.identity_center, "cache"),
    )
    secret += [(f"{table}.{word}", getattr(section, word)) for table, section, word in kept if section is not None]
    if isinstance(draft.identity, OAuth2 | Cognito):
        secret += [(f"identity.{word}", path) for word, path in draft.identity.secret_paths.items()]
    if isinstance(draft.identity, Cognito):
        secret.append(("identity.state", draft.identity.state))
    for word, path in secret:
        harmless = not isinstance(path, Path) or word.endswith((".module", ".ca_bundle"))
        if not harmless and Path(os.path.normpath(str(path))).is_relative_to(shown_to_all):
            yield Mistake(word, "is in publishing.directory, which is shown to the world; move one of them elsewhere")
