"""Whose are these credentials, by AWS's own word?"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiobotocore.config import AioConfig
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.handlers import disable_signing

from agent.clients.aws import SealedSession, StsEndpoint
from agent.clients.sealed import check_ca_bundle, check_proxy, muffle, sealed_config
from agent.errors import AgentError, CredentialsRefused
from agent.secret import Secret

#: How a signature says when it was made (SigV4).
_STAMP: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with."""

    access_key_id: str
    secret_access_key: Secret = field(repr=False)
    session_token: Secret = field(repr=False)


async def caller_identity(
    endpoint: StsEndpoint,
    keys: Keys,
    silence: Callable[[Exception], AgentError],
    *,
    now: Callable[[], datetime] | None = None,
) -> str:
    """Sign a GetCallerIdentity, which every credential may ask: the ARN that STS knows them by.

    `silence` makes our error of whatever kept the answer from us. `now` tells the time by which to sign, AWS's own
    where that is known: STS takes no signature that is older than a quarter of an hour; without it, this machine's
    clock does. Raises CredentialsRefused where STS does not take
    them, what `silence` makes where it does not answer, and ConfigurationError as `sts_client` does.
    """
    check_ca_bundle(endpoint.ca_bundle, "sts")
    check_proxy(endpoint.proxy, "sts")
    muffle()
    problem: AgentError
    try:
        session = _session() if now is None else _session_at(_SignedAt(keys, endpoint.region, now))
        async with session.create_client(
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


class _SignedAt(SigV4Auth):
    """Signs by a time that it is told, and not by this machine's."""

    def __init__(self, keys: Keys, region: str, now: Callable[[], datetime]) -> None:
        super().__init__(
            Credentials(keys.access_key_id, keys.secret_access_key.reveal(), keys.session_token.reveal()), "sts", region
        )
        self._now = now

    def add_auth(self, request: Any) -> None:
        """Sign this request."""
        request.context["timestamp"] = self._now().astimezone(UTC).strftime(_STAMP)
        steps: Any = self  # what botocore's own add_auth does after it has looked at the clock; the stubs leave it out
        steps._modify_request_before_signing(request)  # noqa: SLF001 - our own, from above
        to_sign = self.string_to_sign(request, self.canonical_request(request))
        steps._inject_signature_to_request(request, self.signature(to_sign, request))  # noqa: SLF001 - the same


def _session_at(signer: _SignedAt) -> SealedSession:
    """A session that itself signs nothing, as it does for the exchange: `signer` does."""

    def sign(request: Any, **_: object) -> None:
        signer.add_auth(request)

    session = SealedSession()
    session.register("request-created.sts", sign)
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
