"""Whose are these credentials, by AWS's own word?"""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from botocore.handlers import disable_signing

from agent.clients.aws import SealedSession, StsEndpoint
from agent.clients.sealed import check_ca_bundle, check_proxy, muffle, sealed_config
from agent.errors import AgentError, CredentialsRefused
from agent.secret import Secret


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with."""

    access_key_id: str
    secret_access_key: Secret = field(repr=False)
    session_token: Secret = field(repr=False)


async def caller_identity(endpoint: StsEndpoint, keys: Keys, silence: Callable[[Exception], AgentError]) -> str:
    """Sign a GetCallerIdentity, which every credential may ask: the ARN that STS knows them by.

    `silence` makes our error of whatever kept the answer from us. Raises CredentialsRefused where STS does not take
    them, what `silence` makes where it does not answer, and ConfigurationError as `sts_client` does.
    """
    check_ca_bundle(endpoint.ca_bundle, "sts")
    check_proxy(endpoint.proxy, "sts")
    muffle()
    problem: AgentError
    try:
        async with _session().create_client(
            "sts",
            region_name=endpoint.region,
            endpoint_url=endpoint.endpoint_url,
            verify=str(endpoint.ca_bundle) if endpoint.ca_bundle else True,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key.reveal(),
            aws_session_token=keys.session_token.reveal(),
            config=_config(endpoint),
        ) as client:
            return str((await client.get_caller_identity())["Arn"])
    except ClientError as error:
        # The code alone: AWS quotes what was signed.
        problem = CredentialsRefused(
            f"STS refuses them: {error.response.get('Error', {}).get('Code', 'without a code')}",
            hint="see how the agent is: rolecall status; and whether sts.endpoint_url is where they came from",
        )
    except Exception as error:  # noqa: BLE001 - the edge of a library whose parsers raise whatever they stumble on
        problem = silence(error)
    raise problem  # out here, where no exception that quotes an answer is its context


def _session() -> SealedSession:
    session = SealedSession()
    session.unregister("choose-signer.sts", disable_signing)  # that is for the exchange, which needs no credentials
    return session


def _config(endpoint: StsEndpoint) -> AioConfig:
    config = sealed_config(
        proxy=endpoint.proxy,
        connect_timeout=endpoint.connect_timeout,
        read_timeout=endpoint.read_timeout,
        use_fips_endpoint=endpoint.fips,
        use_dualstack_endpoint=endpoint.dualstack,
    )
    # Nobody else asks again, and one answer that is lost is no finding.
    return config.merge(AioConfig(retries={"mode": "standard", "total_max_attempts": 2}))
