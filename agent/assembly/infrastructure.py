"""Which files does this configuration call for, on the side of AWS and of the web site?"""

from collections.abc import Mapping

from agent.errors import ConfigurationError
from agent.infrastructure import Role, Trust
from agent.infrastructure.all_files import Place, all_files, why_not
from agent.infrastructure.hosting import Bucket, Folder
from agent.settings import S3, Directory, SelfSigned, Settings


def infrastructure_files(settings: Settings) -> tuple[Mapping[str, str], ConfigurationError | None]:
    """The text of every file by its path, and why there are none for hosting, where that is so.

    None at all where the tokens are not our own. Raises ConfigurationError for what cannot be written down.
    """
    identity, issuer = settings.identity, settings.issuer
    if not isinstance(identity, SelfSigned) or issuer is None:
        return {}, None
    pinning = settings.infrastructure is not None and settings.infrastructure.require_pinning
    trust = Trust(
        issuer.url,
        identity.audience,
        identity.subject,
        tags=bool(identity.tags) or any(one.tags for one in (*settings.roles.values(), *settings.grants)),
        source_identity=any(one.source_identity is not None for one in (identity, *settings.grants)),
        require_pinning=pinning,
    )
    roles = [Role.of(name, role.arn, role.duration) for name, role in settings.roles.items()]
    place = _place(settings)
    return all_files(trust, roles, place), why_not(issuer.url, place)


def _place(settings: Settings) -> Place:
    match settings.publishing:
        case S3() as words:
            return Bucket(words.bucket, words.region, words.prefix)
        case Directory() as words:
            return Folder(words.directory, words.max_age)
        case _:
            return None
