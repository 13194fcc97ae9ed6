"""Whose credentials is a request to AWS signed with? Those that the configuration names, and never others.

SDKs look for credentials in a dozen places and take the first they find. Who has several, and those of this daemon
usually belong to somebody, must not find keys made or public keys written in the wrong name: so one place is asked,
and if it has none, that is an error.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleProvider,
    AioCanonicalNameCredentialSourcer,
    AioContainerProvider,
    AioCredentials,
    AioEnvProvider,
    AioInstanceMetadataProvider,
)
from aiobotocore.utils import AioContainerMetadataFetcher, AioInstanceMetadataFetcher
from botocore.credentials import CredentialProvider, ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    InfiniteLoopConfigError,
    InvalidConfigError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnknownCredentialError,
)

from agent.clients.profiles import Profiles, ProfileSession, sign_ins
from agent.clients.sealed import USER_AGENT, OneHop
from agent.credentials import Credentials
from agent.errors import AgentError, ConfigurationError, CredentialsRefused, CredentialsUnavailable

#: Credentials that are good now, whenever it is called: those of one of our own roles.
Held = Callable[[], Awaitable[Credentials]]

#: The instance metadata service of EC2 (EC2 User Guide, "Use the Instance Metadata Service").
METADATA_URL: Final = "http://169.254.169.254"
#: For how long a metadata service may be silent, in seconds: it is on this machine, or one hop away.
_PATIENCE: Final = 2
#: What logs the failures to get credentials with all that was said, a process's secrets included; we say it ourselves.
_LOGGERS: Final = tuple(
    f"{library}.{module}" for library in ("botocore", "aiobotocore") for module in ("credentials", "tokens", "utils")
)
#: What of files and the environment stands still until somebody changes it; it is read anew for each request.
_STANDING: Final = {"env", "shared-credentials-file", "config-file"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What credentials need to be fetched: the region of an STS that is asked for roles, and how AWS is reached."""

    region: str
    config: AioConfig
    ca_bundle: str | None = None
    metadata_url: str = METADATA_URL


class _Named:
    """What botocore asks of credentials beside the credentials themselves."""

    method = "named"

    def get_deferred_property(self, _: str) -> Callable[[], None]:
        """The account, for services whose endpoints depend on it; KMS's and S3's do not."""
        return self.get_account_id

    def get_account_id(self) -> None:
        """The account, once more, as aiobotocore asks for it."""


class OfSource(_Named):
    """Credentials of `source`: "profile:NAME", "environment", "container" or "instance". botocore signs with them.

    Nothing is read before they are wanted, so that a machine may start before its metadata service or its network.
    """

    def __init__(self, source: str, surroundings: Surroundings) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_nothing)
        self._source = source
        self._surroundings = surroundings
        self._held: AioCredentials | None = None
        self._asking = asyncio.Lock()

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Those that are good now, refreshed by botocore's own rules where they end.

        Raises ConfigurationError where the source has none, or where what it says of them cannot be;
        CredentialsRefused where somebody has to sign in, or may not; CredentialsUnavailable where it did not answer.
        """
        try:
            async with self._asking:
                if self._held is None or self._held.method in _STANDING:
                    self._held = await self._loaded()
            return await self._held.get_frozen_credentials()
        except AgentError:
            raise
        except (BotoCoreError, ClientError, OSError, ValueError, KeyError, TypeError) as error:
            problem = _told(error, self._source)
        # out here, unchained: what a profile's process or a metadata service said may be anything, secrets included
        raise problem

    async def _loaded(self) -> AioCredentials:
        for provider in self._providers():
            found: AioCredentials | None = await provider.load()
            if found is not None:
                return found
        raise _none(self._source)

    def _providers(self) -> list[CredentialProvider]:
        kind, _, profile = self._source.partition(":")
        match kind:
            case "environment":
                return [AioEnvProvider()]
            case "container":
                return [self._container()]
            case "instance":
                return [self._instance()]
            case "profile":
                return self._of_profile(profile)
        raise ConfigurationError(
            "there are no such credentials", hint='write "profile:NAME", "environment", "container" or "instance"'
        )

    def _container(self) -> CredentialProvider:
        return AioContainerProvider(fetcher=AioContainerMetadataFetcher(session=_next_door()))

    def _instance(self) -> CredentialProvider:
        nothing: Any = {}
        fetcher = AioInstanceMetadataFetcher(
            timeout=_PATIENCE,
            num_attempts=2,
            base_url=self._surroundings.metadata_url,
            env=nothing,  # AWS_EC2_METADATA_DISABLED is for those who only happen to look there
            user_agent=USER_AGENT,
            config={"ec2_metadata_v1_disabled": True},
            session=_next_door(),
        )
        return AioInstanceMetadataProvider(iam_role_fetcher=fetcher)

    def _of_profile(self, profile: str) -> list[CredentialProvider]:
        """All ways in which a profile gives credentials; those of the environment are none, unless it says so."""
        around = self._surroundings
        session = ProfileSession(profile, around.config, around.ca_bundle)
        builder = Profiles(session, cache={}, region_name=around.region, sso_token_cache=sign_ins())

        def client(service: str, **about: Any) -> Any:
            return session.create_client(service, **{"region_name": around.region, **about})

        assuming = AioAssumeRoleProvider(
            load_config=lambda: session.full_config,
            client_creator=client,
            cache={},
            profile_name=profile,
            prompter=_nobody_there,
            credential_sourcer=AioCanonicalNameCredentialSourcer(
                [AioEnvProvider(), self._container(), self._instance()]
            ),
            profile_provider_builder=builder,
        )
        return [assuming, *builder.providers(profile_name=profile, disable_env_vars=True)]


class OfRole(_Named):
    """Credentials of one of our own roles, as they are at any moment. botocore signs with them."""

    def __init__(self, held: Held) -> None:
        self._held = held

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Those that are good now. Raises what `held` raises."""
        now = await self._held()
        return ReadOnlyCredentials(now.access_key_id, now.secret_access_key.reveal(), now.session_token.reveal())


class _NextDoor:
    """HTTP to a metadata service, through no proxy; a new connection each time, since that is once in hours."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[OneHop]:
        async with OneHop(timeout=_PATIENCE, proxies={}) as session:
            yield session


def _nothing(_: logging.LogRecord) -> bool:
    return False


def _next_door() -> Any:
    return _NextDoor()  # the stubs name another library's class for what has to have `acquire` alone


def _nobody_there(_: str) -> str:
    raise ConfigurationError(
        "the profile asks for an MFA code, and there is nobody to type one",
        hint="name a profile without mfa_serial",
    )


def _none(source: str) -> AgentError:
    """Why a source had none at all."""
    match source:
        case "environment":
            return ConfigurationError(
                "there are no AWS credentials in the environment",
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the agent, or name another source",
            )
        case "container":
            return ConfigurationError(
                "no container agent offers AWS credentials",
                hint="AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI has to be set; or name another source",
            )
        case "instance":
            return CredentialsUnavailable(
                "the instance metadata service gave no AWS credentials",
                hint="attach an instance profile and allow IMDSv2 (its hop limit, from within a container)",
            )
    return ConfigurationError(
        f"{_shown(source)} says nothing of AWS credentials",
        hint="give it keys, role_arn and source_profile, sso_session or credential_process",
    )


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What botocore's exceptions mean, which may quote anything and so are not quoted; `{name}` is the source."""

    errors: tuple[type[Exception], ...]
    ours: type[AgentError]
    what: str
    hint: str


#: In this order: what comes later is more general.
_TROUBLES: Final = (
    _Trouble(
        (SSOError, SSOTokenLoadError, TokenRetrievalError),
        CredentialsRefused,
        "the sign-in of {name} has ended, or never was",
        "sign in as the agent's user: aws sso login --profile NAME",
    ),
    _Trouble(
        (ProfileNotFound,),
        ConfigurationError,
        "{name} leads to a profile that is not there",
        "correct its source_profile",
    ),
    _Trouble(
        (PartialCredentialsError,),
        ConfigurationError,
        "{name} says only half of what AWS credentials take",
        "a key id takes a secret key, and role_arn takes source_profile or credential_source",
    ),
    _Trouble(
        (InfiniteLoopConfigError,),
        ConfigurationError,
        "{name} leads back to itself",
        "correct its source_profile",
    ),
    _Trouble(
        (InvalidConfigError, ConfigParseError, UnknownCredentialError),
        ConfigurationError,
        "what the AWS configuration says of {name} cannot be",
        "correct it until the AWS CLI takes it: aws sts get-caller-identity",
    ),
    _Trouble(
        (Exception,),
        CredentialsUnavailable,
        "no AWS credentials could be had from {name} ({kind})",
        "see to what gives them: the metadata service, or the process or URL that the profile names",
    ),
)


def _told(error: Exception, source: str) -> AgentError:
    name = _shown(source)
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "without a code"))
        return CredentialsRefused(
            f"AWS gave no credentials to {name}: {code}",
            hint="see what the AWS CLI says of them: aws sts get-caller-identity",
        )
    trouble = next(each for each in _TROUBLES if isinstance(error, each.errors))
    return trouble.ours(trouble.what.format(name=name, kind=type(error).__name__), hint=trouble.hint)


def _shown(source: str) -> str:
    kind, _, profile = source.partition(":")
    return f"the AWS profile {profile}" if kind == "profile" else f"the {kind}"
