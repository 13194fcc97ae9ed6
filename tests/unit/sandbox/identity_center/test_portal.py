"""Does the portal open what is assigned, and nothing else?"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from agent.sandbox import Fault
from agent.sandbox.centers import Account, IdentityCenter, PermissionSet, User
from tests.unit.sandbox.identity_center.visit import ELSEWHERE, HERE, Visit, center, refused, visit


@pytest.fixture(scope="module")
def v() -> Iterator[Visit]:
    with visit() as opened:
        yield opened


def test_accounts_are_those_of_the_user(v: Visit) -> None:
    listed = v.sso.list_accounts(accessToken=v.access_token())["accountList"]
    assert listed == [
        {"accountId": HERE, "accountName": "Practice", "emailAddress": "practice@example.com"},
        {"accountId": ELSEWHERE, "accountName": "Elsewhere", "emailAddress": "elsewhere@example.com"},
    ]
    assert v.sso.list_accounts(accessToken=v.access_token("brook"))["accountList"] == []


def test_roles_are_those_of_the_user_in_the_account(v: Visit) -> None:
    token = v.access_token()
    listed = v.sso.list_account_roles(accessToken=token, accountId=HERE)["roleList"]
    assert listed == [{"roleName": "Developer", "accountId": HERE}, {"roleName": "ReadOnly", "accountId": HERE}]
    (only,) = v.sso.list_account_roles(accessToken=token, accountId=ELSEWHERE)["roleList"]
    assert only == {"roleName": "ReadOnly", "accountId": ELSEWHERE}


@pytest.mark.parametrize("account", ["999999999999", "12", "Practice"])
def test_an_account_that_is_not_ones_own_is_forbidden_be_there_one_or_not(account: str, v: Visit) -> None:
    token = v.access_token()
    assert refused(lambda: v.sso.list_account_roles(accessToken=token, accountId=account)) == "Forbidden"
    ask = {"accessToken": token, "accountId": account, "roleName": "ReadOnly"}
    assert refused(lambda: v.sso.get_role_credentials(**ask)) == "Forbidden"


def test_no_access_is_said_as_aws_says_it(v: Visit) -> None:
    ask = {"accessToken": v.access_token(), "accountId": ELSEWHERE, "roleName": "Developer"}
    with pytest.raises(v.sso.exceptions.ClientError, match="No access") as caught:
        v.sso.get_role_credentials(**ask)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(v.sso.exceptions.UnauthorizedException, match="Session token not found or invalid"):
        v.sso.get_role_credentials(**{**ask, "accessToken": "x"})


def test_credentials_are_those_of_the_permission_sets_role(v: Visit) -> None:
    ask = {"accountId": HERE, "roleName": "Developer", "accessToken": v.access_token()}
    given = v.sso.get_role_credentials(**ask)["roleCredentials"]
    assert given["expiration"] == int((v.clock.now() + timedelta(hours=12)).timestamp()) * 1000
    issued = v.sandbox.issued(given["accessKeyId"])
    assert issued
    path = "role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Developer_"
    assert issued.role_arn.startswith(f"arn:aws:iam::{HERE}:{path}")
    digits = issued.role_arn.rpartition("_")[2]
    assert len(digits) == 16
    assert int(digits, 16) >= 0
    assert issued.arn == f"arn:aws:sts::{HERE}:assumed-role/AWSReservedSSO_Developer_{digits}/ada"


def test_sts_and_s3_take_the_credentials() -> None:
    with visit() as v:
        ask = {"accountId": HERE, "roleName": "ReadOnly", "accessToken": v.access_token()}
        given = v.sso.get_role_credentials(**ask)["roleCredentials"]
        who = v.client("sts", given).get_caller_identity()
        assert who["Account"] == HERE
        assert who["Arn"].endswith("/ada")
        s3 = v.client("s3", given)
        assert s3.get_object(Bucket="demo-bucket", Key="hello.txt")["Body"].read() == b"Hello from the sandbox.\n"
        assert refused(lambda: s3.put_object(Bucket="demo-bucket", Key="new", Body=b"x")) == "AccessDenied"
        v.wait(hours=1)
        assert refused(lambda: v.client("sts", given).get_caller_identity()) == "ExpiredToken"


def test_another_accounts_role_has_no_part_in_this_ones_bucket() -> None:
    with visit() as v:
        ask = {"accountId": ELSEWHERE, "roleName": "ReadOnly", "accessToken": v.access_token()}
        given = v.sso.get_role_credentials(**ask)["roleCredentials"]
        assert v.client("sts", given).get_caller_identity()["Account"] == ELSEWHERE
        with pytest.raises(v.sso.exceptions.ClientError, match="no resource-based policy"):
            v.client("s3", given).get_object(Bucket="demo-bucket", Key="hello.txt")


def test_role_sessions_live_on_after_logout() -> None:
    with visit() as v:
        token = v.access_token()
        ask = {"accountId": HERE, "roleName": "Developer", "accessToken": token}
        given = v.sso.get_role_credentials(**ask)["roleCredentials"]
        v.sso.logout(accessToken=token)
        assert refused(lambda: v.sso.get_role_credentials(**ask)) == "Unauthorized"
        assert v.client("sts", given).get_caller_identity()["Arn"].endswith("/ada")


def test_credentials_can_be_made_to_live_shortly(v: Visit) -> None:
    token = v.access_token()
    v.sandbox.faults.add(Fault("lifetime", seconds=90, times=1))
    ask = {"accountId": HERE, "roleName": "Developer", "accessToken": token}
    given = v.sso.get_role_credentials(**ask)["roleCredentials"]
    assert given["expiration"] == int((v.clock.now() + timedelta(seconds=90)).timestamp()) * 1000


def crowded() -> IdentityCenter:
    """So many accounts that they need pages."""
    accounts = tuple(Account(f"{number:012}", f"Account {number}") for number in range(1, 106))
    sets = tuple(PermissionSet(f"Set{number:02}") for number in range(45))
    names = tuple(one.name for one in sets)
    users = (User("ada", {one.id: names for one in accounts}), User("brook", {one.id: names[:1] for one in accounts}))
    return center(accounts=accounts, permission_sets=sets, users=users)


def test_lists_come_in_pages() -> None:
    with visit(crowded()) as v:
        token = v.access_token()
        first = v.sso.list_accounts(accessToken=token)
        assert len(first["accountList"]) == 20
        whole = v.sso.get_paginator("list_accounts").paginate(accessToken=token, PaginationConfig={"PageSize": 50})
        pages = [[one["accountId"] for one in page["accountList"]] for page in whole]
        assert [len(page) for page in pages] == [50, 50, 5]
        assert [one for page in pages for one in page] == [f"{number:012}" for number in range(1, 106)]
        roles = v.sso.get_paginator("list_account_roles").paginate(accessToken=token, accountId=f"{7:012}")
        assert [len(page["roleList"]) for page in roles] == [20, 20, 5]
        everything = v.sso.list_account_roles(accessToken=token, accountId=f"{7:012}", maxResults=45)
        assert len(everything["roleList"]) == 45
        assert "nextToken" not in everything


def test_a_page_token_is_of_one_list_and_one_user() -> None:
    with visit(crowded()) as v:
        ada, brook = v.access_token(), v.access_token("brook")
        seen = v.sso.list_accounts(accessToken=ada)["nextToken"]
        v.sso.list_accounts(accessToken=ada, nextToken=seen)
        assert refused(lambda: v.sso.list_accounts(accessToken=brook, nextToken=seen)) == "InvalidRequest"
        roles = {"accessToken": ada, "accountId": f"{7:012}"}
        assert refused(lambda: v.sso.list_account_roles(**roles, nextToken=seen)) == "InvalidRequest"
        for made_up in ("x", "WzIwXQ==", "WzIwLCAxXQ==", "bnVsbA==", "é"):
            assert refused(partial(v.sso.list_accounts, accessToken=ada, nextToken=made_up)) == "InvalidRequest"


@pytest.mark.parametrize("wanted", ["0", "101", "-1", "ten", "1000000000000000000000", "0050000", "1.5"])
def test_a_page_is_of_one_to_a_hundred(wanted: str, v: Visit) -> None:
    url = f"{v.sandbox.endpoint_url}/assignment/accounts?max_result={wanted}"
    page = v.surfer.open(url, {"x-amz-sso_bearer_token": v.access_token()})
    assert (page.status, page.headers["x-amzn-errortype"]) == (400, "InvalidRequestException")


def test_who_shows_no_token_has_none(v: Visit) -> None:
    page = v.surfer.open(f"{v.sandbox.endpoint_url}/assignment/accounts")
    assert (page.status, page.headers["x-amzn-errortype"]) == (401, "UnauthorizedException")


def test_a_user_who_is_gone_is_nobody_and_an_assignment_that_is_gone_is_none() -> None:
    with visit() as v:
        token = v.access_token()
        there = center()
        v.sandbox.world = replace(
            v.sandbox.world, identity_center=replace(there, users=(User("ada", {HERE: ("ReadOnly",)}),))
        )
        ask = {"accountId": HERE, "roleName": "Developer", "accessToken": token}
        assert refused(lambda: v.sso.get_role_credentials(**ask)) == "Forbidden"
        v.sandbox.world = replace(v.sandbox.world, identity_center=replace(there, users=()))
        assert refused(lambda: v.sso.get_role_credentials(**ask)) == "Unauthorized"
