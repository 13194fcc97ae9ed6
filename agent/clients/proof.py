"""How does a workload inside AWS prove its IAM identity to a rolecall server?

With the credentials that any AWS SDK would find where it runs: those of the environment, a profile, a container, an
instance. Unlike the daemon, which uses what its configuration names and nothing else, this is the workload itself.
"""

import base64
import os
import secrets
from datetime import timedelta
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError
from botocore.session import Session

from agent.errors import AgentError, ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.secret import Secret

#: The header that binds a presigned request to one server.
SERVER_HEADER: Final = "X-Rolecall-Server-Id"
#: The header that makes it another one than that of the same second before.
NONCE_HEADER: Final = "X-Rolecall-Nonce"
#: For how long a presigned request is to be good: it is used at once, and clocks differ.
_LIFE: Final = timedelta(minutes=5)
#: The shortest that AWS gives a token for.
_TOKEN_LIFE: Final = timedelta(minutes=1)
_TIMES: Final = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


def presigned(server_id: str, region: str | None = None) -> Secret:
    """What the Authorization header is to be: a presigned GetCallerIdentity that is good for that server alone.

    Asks nobody but whoever gives the credentials. Raises ConfigurationError, CredentialsUnavailable.
    """
    client = _sts(region)
    nonce = secrets.token_urlsafe(16)

    def bind(request: Any, **_: object) -> None:
        request.headers[SERVER_HEADER] = server_id
        request.headers[NONCE_HEADER] = nonce

    client.meta.events.register("before-sign.sts.GetCallerIdentity", bind)
    try:
        url: str = client.generate_presigned_url(
            "get_caller_identity", ExpiresIn=int(_LIFE.total_seconds()), HttpMethod="GET"
        )
    except (BotoCoreError, ClientError, ValueError) as error:
        problem = _no_credentials(error)
    else:
        encoded = base64.urlsafe_b64encode(url.encode("ascii")).rstrip(b"=").decode("ascii")
        return Secret(f"AWS-Presigned {encoded}.{nonce}")
    raise problem  # unchained: what a credential process said may be anything


def web_identity(server_id: str, region: str | None = None) -> Secret:
    """What the Authorization header is to be: a token from GetWebIdentityToken for that server.

    Raises ConfigurationError, CredentialsUnavailable, and CredentialsRefused where AWS gives none.
    """
    client = _sts(region)
    try:
        given = client.get_web_identity_token(
            Audience=[server_id], SigningAlgorithm="RS256", DurationSeconds=int(_TOKEN_LIFE.total_seconds())
        )
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "without a code"))
        problem: AgentError = CredentialsRefused(
            f"AWS gives this identity no token for others: {code}",
            hint="the account needs outbound web identity federation, and the role sts:GetWebIdentityToken",
        )
    except (BotoCoreError, ValueError) as error:
        problem = _no_credentials(error)
    else:
        return Secret("Bearer " + str(given["WebIdentityToken"]))
    raise problem


def _sts(region: str | None) -> Any:  # botocore makes its clients at run time
    session = Session()
    try:
        # botocore knows AWS_DEFAULT_REGION alone, all other SDKs and Lambda AWS_REGION.
        chosen = region or os.environ.get("AWS_REGION") or session.get_config_variable("region")
        if not chosen:
            raise ConfigurationError("no AWS region is set", hint="set AWS_REGION, or name one with --region")
        return session.create_client("sts", region_name=chosen, config=_TIMES)
    except CredentialRetrievalError as error:  # credentials are looked for already now
        problem: AgentError = _no_credentials(error)
    except (BotoCoreError, ValueError) as error:
        problem = ConfigurationError(
            f"no client for STS can be made ({type(error).__name__})",
            hint="correct the AWS settings of the environment until the AWS CLI takes them",
        )
    raise problem


def _no_credentials(error: Exception) -> CredentialsUnavailable:
    return CredentialsUnavailable(
        f"no AWS credentials could be had ({type(error).__name__})",
        hint="see what the AWS CLI says of them here: aws sts get-caller-identity",
    )
