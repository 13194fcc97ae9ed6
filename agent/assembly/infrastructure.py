"""Which files does this configuration call for, on the side of AWS and of the web site?"""

from collections.abc import Mapping

from agent.errors import ConfigurationError
from agent.infrastructure import Role, Trust
from agent.infrastructure.all_files import Place, all_files, why_not
from agent.infrastructure.hosting import Bucket, Folder
from agent.settings import S3, Cognito, Directory, OAuth2, SelfSigned, Settings


def infrastructure_files(settings: Settings) -> tuple[Mapping[str, str], ConfigurationError | None]:
    """The text of every file by its path, and why there are none for hosting, where that is so.

    None at all where the tokens are not our own. Raises ConfigurationError for what cannot be written down.
    """
    pinning = settings.infrastructure is not None and settings.infrastructure.require_pinning
    trust = trust_of(settings, require_pinning=pinning)
    if trust is None or not settings.token_roles:
        return {}, None
    roles = [Role.of(name, role.arn, role.duration) for name, role in settings.token_roles.items()]
    place = _place(settings)
    return all_files(trust, roles, place), why_not(trust.issuer, place)


def trust_of(settings: Settings, *, require_pinning: bool) -> Trust | None:
    """What roles must find in our tokens; None where the tokens are not our own.

    What some of them carry, a role's own or those of a grant that narrows it, has to be allowed by all: there is one
    policy for all roles, and a token that nobody asked for tags has none.
    """
    identity, issuer, grants = settings.identity, settings.issuer, settings.grants
    if isinstance(identity, OAuth2):
        return _trust_in_another(identity)
    roles = settings.token_roles.values()
    if not isinstance(identity, SelfSigned) or issuer is None:
        return None
    return Trust(
        issuer.url,
        identity.audience,
        identity.subject,
        tags=any([identity.tags, *(role.tags for role in roles), *(one.tags for one in grants)]),
        source_identity=any([identity.source_identity, *(one.source_identity for one in grants)]),
        require_pinning=require_pinning,
    )


def _trust_in_another(words: OAuth2) -> Trust | None:
    """What roles must find in the tokens of a provider; None where nobody has written down what they say.

    Without a subject, or an audience that is ours alone, a role would be open to every client of the provider.
    """
    audience = words.expected_audience or words.audience
    if words.issuer is None or not words.expected_subject or not audience:
        return None
    return Trust(words.issuer, audience, words.expected_subject)


def _place(settings: Settings) -> Place:
    if isinstance(settings.identity, OAuth2 | Cognito):
        return None  # the issuer that AWS reads is not ours to host
    match settings.publishing:
        case S3() as words:
            return Bucket(words.bucket, words.region, words.prefix)
        case Directory() as words:
            return Folder(words.directory, words.max_age)
        case _:
            return None
