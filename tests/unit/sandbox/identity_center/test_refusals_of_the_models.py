"""Does every error of AWS's models come from its own cause, in the shape in which botocore reads it?"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import botocore.session
import pytest
from botocore.exceptions import ClientError

from agent.sandbox import Fault
from agent.sandbox.identity_center.refusals import OIDC_ERRORS
from tests.unit.sandbox.identity_center.visit import HERE, Visit, visit

Cause = Callable[[Visit], object]


@pytest.fixture(scope="module")
def shared() -> Iterator[Visit]:
    with visit() as opened:
        yield opened


@pytest.fixture
def here(shared: Visit) -> Visit:
    shared.sandbox.faults.clear()
    return shared


def operations(service: str) -> list[tuple[str, str]]:
    """Every operation of a service that needs no signature, with each of its errors."""
    model = botocore.session.get_session().get_service_model(service)
    found = [model.operation_model(name) for name in model.operation_names]
    return [(one.name, error.name) for one in found if one.auth_type == "none" for error in one.error_shapes]


def slow_down(v: Visit) -> object:
    client = v.register_device()
    device = v.device(client)
    with pytest.raises(v.oidc.exceptions.AuthorizationPendingException):
        v.poll(client, device)
    return v.poll(client, device)


def expired_device(v: Visit) -> object:
    client = v.register_device()
    device = v.device(client)
    v.sandbox.identity_center.expire("device_codes")
    return v.poll(client, device)


def denied_device(v: Visit) -> object:
    client = v.register_device()
    device = v.device(client)
    assert "denied" in v.approve(device, decision="deny").text
    return v.poll(client, device)


def pending_device(v: Visit) -> object:
    client = v.register_device()
    return v.poll(client, v.device(client))


def wrong_secret(client: Any) -> dict[str, str]:
    return {"clientId": client["clientId"], "clientSecret": client["clientSecret"] + "x"}


def start(v: Visit, client: Any, **changed: str) -> object:
    whole = {
        "clientId": client["clientId"],
        "clientSecret": client["clientSecret"],
        "startUrl": "https://x.example.com/",
    }
    return v.oidc.start_device_authorization(**{**whole, **changed})


#: What leads to an error, where it is something that a client or a person can do.
CAUSES: Final[dict[tuple[str, str], Cause]] = {
    ("RegisterClient", "InvalidRequestException"): lambda v: v.register(issuerUrl="https://other.awsapps.com/start"),
    ("RegisterClient", "InvalidScopeException"): lambda v: v.register(scopes=["sso:everything"]),
    ("RegisterClient", "InvalidClientMetadataException"): lambda v: v.register(clientType="confidential"),
    ("RegisterClient", "InvalidRedirectUriException"): lambda v: v.register(redirectUris=["https://example.com/cb"]),
    ("RegisterClient", "UnsupportedGrantTypeException"): lambda v: v.register(grantTypes=["password"]),
    ("StartDeviceAuthorization", "InvalidRequestException"): lambda v: start(v, v.register_device()),
    ("StartDeviceAuthorization", "InvalidClientException"): lambda v: start(v, v.register_device(), clientSecret="x"),
    ("StartDeviceAuthorization", "UnauthorizedClientException"): lambda v: v.device(v.register()),
    ("CreateToken", "InvalidRequestException"): lambda v: v.redeem(v.register(), "a code", codeVerifier=None),
    ("CreateToken", "InvalidClientException"): lambda v: v.redeem(wrong_secret(v.register()), "a code"),
    ("CreateToken", "InvalidGrantException"): lambda v: v.redeem(v.register(), "a code"),
    ("CreateToken", "UnauthorizedClientException"): lambda v: v.redeem(v.register_device(), "a code"),
    ("CreateToken", "UnsupportedGrantTypeException"): lambda v: v.create_token(v.register(), grantType="password"),
    ("CreateToken", "AuthorizationPendingException"): pending_device,
    ("CreateToken", "SlowDownException"): slow_down,
    ("CreateToken", "AccessDeniedException"): denied_device,
    ("CreateToken", "ExpiredTokenException"): expired_device,
    ("ListAccounts", "InvalidRequestException"): lambda v: v.sso.list_accounts(
        accessToken=v.access_token(), nextToken="made up"
    ),
    ("ListAccounts", "UnauthorizedException"): lambda v: v.sso.list_accounts(accessToken="made up"),
    ("ListAccountRoles", "InvalidRequestException"): lambda v: v.sso.list_account_roles(
        accessToken=v.access_token(), accountId=HERE, nextToken="made up"
    ),
    ("ListAccountRoles", "UnauthorizedException"): lambda v: v.sso.list_account_roles(
        accessToken="made up", accountId=HERE
    ),
    ("GetRoleCredentials", "InvalidRequestException"): lambda v: v.sso.get_role_credentials(
        accessToken=v.access_token(), accountId=HERE, roleName=""
    ),
    ("GetRoleCredentials", "UnauthorizedException"): lambda v: v.sso.get_role_credentials(
        accessToken="made up", accountId=HERE, roleName="Developer"
    ),
    ("Logout", "UnauthorizedException"): lambda v: v.sso.logout(accessToken="made up"),
}

#: What a client can ask for that is right, so that it is a fault that refuses.
RIGHT: Final[dict[str, Cause]] = {
    "RegisterClient": lambda v: v.register(),
    "StartDeviceAuthorization": lambda v: v.device(v.register_device()),
    "CreateToken": lambda v: v.tokens(),
    "ListAccounts": lambda v: v.sso.list_accounts(accessToken="any"),
    "ListAccountRoles": lambda v: v.sso.list_account_roles(accessToken="any", accountId=HERE),
    "GetRoleCredentials": lambda v: v.sso.get_role_credentials(accessToken="any", accountId=HERE, roleName="ReadOnly"),
    "Logout": lambda v: v.sso.logout(accessToken="any"),
}
#: What nobody can cause from outside: AWS's own trouble, its limits, and what its model promises and it does not do.
BY_FAULT_ALONE: Final = {
    ("RegisterClient", "InternalServerException"),
    ("RegisterClient", "SlowDownException"),
    ("StartDeviceAuthorization", "InternalServerException"),
    ("StartDeviceAuthorization", "SlowDownException"),
    ("CreateToken", "InternalServerException"),
    ("CreateToken", "InvalidScopeException"),  # scope "has no effect", says the model
    *(
        (one, "TooManyRequestsException")
        for one in ("ListAccounts", "ListAccountRoles", "GetRoleCredentials", "Logout")
    ),
    *((one, "ResourceNotFoundException") for one in ("ListAccounts", "ListAccountRoles", "GetRoleCredentials")),
    ("Logout", "InvalidRequestException"),
}


def fails(here: Visit, service: str, operation: str, error: str, cause: Cause) -> None:
    """The cause makes a client of botocore raise the modelled exception, with the model's status."""
    client = {"sso-oidc": here.oidc, "sso": here.sso}[service]
    shape = client.meta.service_model.shape_for(error)
    with pytest.raises(getattr(client.exceptions, error)) as caught:
        cause(here)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == shape.metadata["error"]["httpStatusCode"]
    assert response["ResponseMetadata"]["RequestId"]
    assert here.sandbox.requests[-1].action == operation
    if service == "sso-oidc":
        documented = re.search(r"<code>(\w+)</code>", shape.members["error"].documentation)
        assert documented
        assert response["error"] == documented[1]
        assert response["error_description"]


PAIRS = [(service, *pair) for service in ("sso-oidc", "sso") for pair in operations(service)]


@pytest.mark.parametrize(("service", "operation", "error"), PAIRS)
def test_an_error_of_the_model_comes_of_its_cause(service: str, operation: str, error: str, here: Visit) -> None:
    cause = CAUSES.get((operation, error))
    if cause is None:
        assert (operation, error) in BY_FAULT_ALONE
        here.sandbox.faults.add(Fault("status", code=error, role=operation))
        cause = RIGHT[operation]
    fails(here, service, operation, error, cause)


@pytest.mark.parametrize(("service", "operation", "error"), PAIRS)
def test_an_error_of_the_model_can_be_asked_for(service: str, operation: str, error: str, here: Visit) -> None:
    here.sandbox.faults.add(Fault("status", code=error, role=operation))
    fails(here, service, operation, error, RIGHT[operation])


def test_no_cause_is_there_for_an_error_that_is_not() -> None:
    assert {(operation, error) for _, operation, error in PAIRS} == {*CAUSES, *BY_FAULT_ALONE}
    assert set(OIDC_ERRORS) == {error for service, _, error in PAIRS if service == "sso-oidc"}


@pytest.mark.parametrize(("operation", "code"), [("CreateToken", "SlowDown"), ("ListAccounts", "TooManyRequests")])
def test_throttled_is_said_as_each_service_says_it(operation: str, code: str, here: Visit) -> None:
    here.sandbox.faults.add(Fault("throttled", role=operation, times=1))
    with pytest.raises(ClientError, match=code):
        RIGHT[operation](here)
    assert here.sandbox.faults.current() == ()
