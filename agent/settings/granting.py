"""Can what is granted be given, with all that the rest of the file says?"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from agent.settings import aws_callers
from agent.settings.callers import BY_KERNEL, Grant
from agent.settings.cognito import Cognito, IdentityPoolRole
from agent.settings.credentials import StsRole, foreign
from agent.settings.draft import Draft
from agent.settings.identity_center import IdentityCenterRole
from agent.settings.likeness import meet
from agent.settings.mistakes import Mistake, nearest, shown, shown_word
from agent.settings.oauth2 import OAuth2
from agent.settings.templates import for_role, name_fault
from agent.settings.tokens import FromFile, SelfSigned
from agent.spans import spell_duration
from agent.tokens import MOST_TAGS

#: The units in which the managers of users' own units are.
_USER_MANAGERS = "user@*.service"


def unfit_grants(draft: Draft) -> Iterator[Mistake]:
    """Find what is wrong between [[grants]] and the other sections."""
    overlaps: dict[Path, tuple[int, timedelta]] = {}
    for number, grant in draft.grants.items():
        for place, name in enumerate(grant.roles, start=1):
            yield from unknown_role(draft, name, f"grants#{number}.roles#{place}")
        for token_file in grant.token_file:
            first, overlap = overlaps.setdefault(token_file, (number, grant.token_overlap))
            if overlap != grant.token_overlap:
                yield Mistake(
                    f"grants#{number}.token_overlap",
                    f"is {spell_duration(grant.token_overlap)}, but {spell_duration(overlap)} in grants#{first} "
                    "for the same token_file; write the same in both",
                )
        said = (*_unrecognised(grant, draft), *_narrowed(grant, draft))
        yield from (Mistake(f"grants#{number}{word}", sentence) for word, sentence in dict.fromkeys(said))


def unknown_role(draft: Draft, name: str, where: str) -> Iterator[Mistake]:
    """Say so if this is none of the roles."""
    written = draft.words.get("roles")
    known = list(written) if isinstance(written, Mapping) else []
    if known and name not in known:
        yield Mistake(where, f"{shown(name)} is none of the roles of this file{nearest(name, known)}")


def _unrecognised(grant: Grant, draft: Draft) -> Iterator[tuple[str, str]]:
    """Callers whom nothing in this file would recognise: the grant could never count."""
    by_kernel = [word for word in BY_KERNEL if grant.values(word)]
    if draft.callers is not None and draft.callers.recognise == "off":
        said = 'is never known while callers.recognise is "off"; write recognise = "kernel" there, or leave this out'
        yield from ((f".{word}", said) for word in by_kernel)
    elif draft.callers is not None and grant.executable and not draft.callers.executables:
        needed = "for which the agent needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
        said = f"is not looked at unless [callers] has executables = true, {needed}"
        yield ".executable", f"{said}; write that, or leave this out"
    if grant.container and "containers" not in draft.words:
        yield ".container", 'needs [containers] with engine = "docker" or "podman", to know containers by name'
    if grant.unit_token and "unit_tokens" not in draft.words:
        yield ".unit_token", "needs [unit_tokens], where units get their tokens; the table may be empty"
    aws = next((word for word in aws_callers.WHO if grant.values(word)), "")
    if aws and "aws_callers" not in draft.words:
        yield f".{aws}", "needs [aws_callers], where callers inside AWS show who they are"
    if grant.aws_organization and draft.aws_callers is not None and not draft.aws_callers.issuers:
        said = "is known only of who shows a token from GetWebIdentityToken"
        yield ".aws_organization", f"{said}; name the issuers of the accounts in aws_callers.issuers"
    if grant.user_unit and grant.unit and not any(meet(unit, _USER_MANAGERS) for unit in grant.unit):
        said = 'cannot stand beside "unit": what a user starts is, for the system, all in the unit user@UID.service'
        yield ".user_unit", f'{said}; write user = "…" instead of unit to say whose it is'


def _narrowed(grant: Grant, draft: Draft) -> Iterator[tuple[str, str]]:
    for name in grant.roles:
        role = draft.roles.get(name)
        if isinstance(role, IdentityCenterRole):
            yield from _by_permission_set(grant, name)
        elif isinstance(role, IdentityPoolRole):
            yield from _by_identity_pool(grant, name)
        elif role is not None:
            yield from _less(grant, name, role)
            yield from _texts(grant, name)
            yield from _tags(grant, name, role, draft)
    if isinstance(draft.identity, FromFile | OAuth2 | Cognito):
        said = "is part of a token, and we do not make that one"
        for word in ("tags", "source_identity"):
            if getattr(grant, word):
                yield f".{word}", f'means nothing with identity.source = "{draft.identity.source}": it {said}'


def _by_permission_set(grant: Grant, name: str) -> Iterator[tuple[str, str]]:
    """What somebody has by a permission set, he has whole: IAM Identity Center gives no less of it."""
    for word in ("duration", "policy", "policy_file", "policy_arns", "session_name", "source_identity", "tags"):
        if getattr(grant, word):
            said = f"cannot narrow the role {name}: IAM Identity Center gives a permission set as it is"
            yield f".{word}", f"{said}; leave this out, or make a smaller permission set"


def _by_identity_pool(grant: Grant, name: str) -> Iterator[tuple[str, str]]:
    """An identity pool gives a role whole, for an hour."""
    for word in ("duration", "policy", "policy_file", "policy_arns", "session_name", "source_identity", "tags"):
        if getattr(grant, word):
            said = f"cannot narrow the role {name}: an identity pool gives it as it is"
            yield f".{word}", f'{said}; leave this out, or let the role be had from STS: source = "sts"'


def _less(grant: Grant, name: str, role: StsRole) -> Iterator[tuple[str, str]]:
    """A grant gives less than the role, never more or longer."""
    if grant.duration is not None and grant.duration > role.duration:
        theirs = spell_duration(role.duration)
        yield ".duration", f"is longer than that of the role {name}, {theirs}; write {theirs} or less, or more there"
    own = [word for word in ("policy", "policy_file", "policy_arns") if getattr(role, word)]
    for word in ("policy", "policy_file", "policy_arns"):
        if getattr(grant, word) and own:
            said = f"stands beside roles.{name}.{own[0]}, and AWS would allow what either of them does"
            yield f".{word}", f"{said}; write all of it here, or all of it there"
    for number, said in foreign(role.arn, grant.policy_arns):
        yield f".policy_arns#{number}", said


def _texts(grant: Grant, name: str) -> Iterator[tuple[str, str]]:
    """What ${ROLE} comes to is as long as AWS wants it."""
    for word in ("session_name", "source_identity"):
        template = getattr(grant, word)
        if template is not None and (fault := name_fault(for_role(template, name))):
            yield f".{word}", f"{fault}, for the role {name}"


def _tags(grant: Grant, name: str, role: StsRole, draft: Draft) -> Iterator[tuple[str, str]]:
    """Tags are added, and never replace what a policy may look at already."""
    common = draft.identity.tags if isinstance(draft.identity, SelfSigned) else {}
    where = {tag.lower(): f"identity.tags.{shown_word(tag)}" for tag in common}
    where |= {tag.lower(): f"roles.{name}.tags.{shown_word(tag)}" for tag in role.tags}
    for tag in grant.tags:
        if theirs := where.get(tag.lower()):
            yield (
                f".tags.{shown_word(tag)}",
                f"is set by {theirs} already, which a grant cannot change; name it otherwise",
            )
    if grant.tags and len(where.keys() | {tag.lower() for tag in grant.tags}) > MOST_TAGS:
        said = f"comes to more than {MOST_TAGS} tags with those of the role {name} and of [identity]"
        yield ".tags", f"{said}; AWS takes at most {MOST_TAGS}"
