"""Is a world refused that AWS would not have let anybody make?"""

from datetime import timedelta
from typing import Any

import pytest

from agent.errors import ConfigurationError
from agent.sandbox import Provider, Role, World
from tests.unit.sandbox.scene import ISSUER, ROLE, allow, trust

TRUST = trust(allow())


WRONG: dict[str, tuple[Any, str]] = {
    "http": (lambda: Provider("http://oidc.example.com"), "IAM takes no identity provider of the URL"),
    "port": (lambda: Provider("https://oidc.example.com:8443"), "IAM takes no identity provider of the URL"),
    "query": (lambda: Provider("https://oidc.example.com/?a=b"), "IAM takes no identity provider of the URL"),
    "blank": (lambda: Provider("https://oidc.example.com/a b"), "IAM takes no identity provider of the URL"),
    "long": (lambda: Provider(f"https://oidc.example.com/{'a' * 255}"), "IAM takes no identity provider of the URL"),
    "101 clients": (lambda: Provider(ISSUER, tuple(map(str, range(101)))), "client ids that IAM does not take"),
    "empty client": (lambda: Provider(ISSUER, ("",)), "client ids that IAM does not take"),
    "thumbprint": (lambda: Provider(ISSUER, thumbprints=("ab",)), "thumbprints that IAM does not take"),
    "six thumbprints": (lambda: Provider(ISSUER, thumbprints=("a" * 40,) * 6), "thumbprints that IAM does not take"),
    "not a role": (lambda: Role("arn:aws:iam::123456789012:user/x", TRUST), "is not the ARN of a role"),
    "newline": (lambda: Role(f"{ROLE}\n", TRUST), "is not the ARN of a role"),
    "short": (lambda: Role(ROLE, TRUST, timedelta(minutes=59)), "the longest session of"),
    "long session": (lambda: Role(ROLE, TRUST, timedelta(hours=13)), "the longest session of"),
    "trust": (lambda: Role(ROLE, {"Statement": []}), "IAM would refuse a policy of"),
    "permissions": (lambda: Role(ROLE, TRUST, policies=({},)), "IAM would refuse a policy of"),
    "account": (lambda: World("12345"), "is not an AWS account id"),
    "bucket": (lambda: World(bucket="Bucket"), "S3 takes no bucket of the name"),
    "elsewhere": (
        lambda: World("210987654321", roles=(Role(ROLE, TRUST),)),
        "is not of account 210987654321 in partition aws",
    ),
    "partition": (
        lambda: World(partition="aws-cn", roles=(Role(ROLE, TRUST),)),
        "is not of account 123456789012 in partition aws-cn",
    ),
    "role twice": (lambda: World(roles=(Role(ROLE, TRUST),) * 2), "exists twice"),
    "provider twice": (lambda: World(providers=(Provider(ISSUER),) * 2), "exists twice"),
    "managed": (lambda: World(managed_policies={"arn:aws:iam::aws:policy/x": {}}), "IAM would refuse the policy"),
}


@pytest.mark.parametrize(("make", "what"), WRONG.values(), ids=WRONG)
def test_it_is_refused(make: Any, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert what in caught.value.what
    assert caught.value.hint
