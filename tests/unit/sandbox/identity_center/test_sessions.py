"""How long is somebody signed in, and what ends it?"""

from datetime import timedelta
from random import Random

from agent.sandbox import Fault, practice_world
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.asked import Asked
from agent.sandbox.identity_center.registration import Clients
from agent.sandbox.identity_center.sessions import Sessions
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.identity_center.visit import Answer, Visit, center, refused, visit


def works(v: Visit, tokens: Answer) -> bool:
    try:
        v.sso.list_accounts(accessToken=tokens["accessToken"])
    except v.sso.exceptions.UnauthorizedException:
        return False
    return True


def test_an_access_token_is_renewed_until_the_session_ends() -> None:
    with visit() as v:
        client = v.register()
        tokens = v.tokens(client=client)
        for _ in range(7):
            v.wait(minutes=59, seconds=59)
            assert works(v, tokens)
            v.wait(seconds=1)
            assert not works(v, tokens)
            tokens = v.refresh(client, tokens)
            assert tokens["expiresIn"] == 3600
        v.wait(minutes=30)
        tokens = v.refresh(client, tokens)
        assert tokens["expiresIn"] == 1800
        v.wait(minutes=30)
        assert not works(v, tokens)
        assert refused(lambda: v.refresh(client, tokens)) == "InvalidGrant"


def test_a_refresh_token_is_good_once_and_the_access_tokens_all_live_on() -> None:
    with visit() as v:
        client = v.register()
        first = v.tokens(client=client)
        second = v.refresh(client, first)
        assert second["refreshToken"] != first["refreshToken"]
        assert refused(lambda: v.refresh(client, first)) == "InvalidGrant"
        assert works(v, first)
        assert works(v, second)
        assert v.refresh(client, second)["accessToken"]


def test_an_administrator_may_let_refresh_tokens_be_used_again() -> None:
    with visit(center(rotates=False)) as v:
        client = v.register()
        tokens = v.tokens(client=client)
        assert v.refresh(client, tokens)["refreshToken"] == tokens["refreshToken"]
        assert v.refresh(client, tokens)["accessToken"] != tokens["accessToken"]


def test_a_refresh_token_is_of_its_client() -> None:
    with visit() as v:
        tokens = v.tokens()
        assert refused(lambda: v.refresh(v.register(), tokens)) == "InvalidGrant"
        assert "another client's" in v.whys[-1]


def test_a_client_of_the_old_sort_has_the_whole_session_and_cannot_renew() -> None:
    with visit() as v:
        client = v.register_device(scopes=None)
        device = v.device(client)
        v.approve(device)
        tokens = v.poll(client, device)
        assert tokens["expiresIn"] == 8 * 3600
        assert "refreshToken" not in tokens
        v.wait(hours=7, minutes=59)
        assert works(v, tokens)
        v.wait(minutes=1)
        assert not works(v, tokens)


def test_a_client_without_the_right_scope_is_kept_out_of_the_portal() -> None:
    with visit(center(scopes=("sso:account:access", "codewhisperer:completions"))) as v:
        client = v.register(scopes=["codewhisperer:completions"])
        tokens = v.redeem(client, v.code(client, scopes="codewhisperer:completions"))
        assert "refreshToken" not in tokens
        assert refused(lambda: v.sso.list_accounts(accessToken=tokens["accessToken"])) == "Forbidden"


def test_logging_out_ends_the_session_and_no_other() -> None:
    with visit() as v:
        client = v.register()
        gone, stays = v.tokens(client=client), v.tokens(client=client)
        v.sso.logout(accessToken=gone["accessToken"])
        assert not works(v, gone)
        assert refused(lambda: v.refresh(client, gone)) == "InvalidGrant"
        assert refused(lambda: v.sso.logout(accessToken=gone["accessToken"])) == "Unauthorized"
        assert works(v, stays)


def test_a_refresh_token_can_be_revoked_and_the_access_token_lives_on() -> None:
    with visit() as v:
        client = v.register()
        ada, brook = v.tokens(client=client), v.tokens("brook", client)
        assert v.sandbox.identity_center.revoke("refresh_tokens", "ada") == 1
        assert works(v, ada)
        assert refused(lambda: v.refresh(client, ada)) == "InvalidGrant"
        assert v.refresh(client, brook)["accessToken"]


def test_an_access_token_can_be_revoked_and_renewed() -> None:
    with visit() as v:
        client = v.register()
        tokens = v.tokens(client=client)
        v.sandbox.identity_center.revoke("access_tokens")
        assert not works(v, tokens)
        assert works(v, v.refresh(client, tokens))


def test_a_session_that_is_revoked_before_the_code_comes_is_none() -> None:
    with visit() as v:
        client = v.register()
        code = v.code(client)
        assert v.sandbox.identity_center.revoke() == 1
        assert refused(lambda: v.redeem(client, code)) == "InvalidGrant"


def test_a_session_can_be_shorter_than_an_access_token() -> None:
    with visit(center(session=timedelta(minutes=15))) as v:
        assert v.tokens()["expiresIn"] == 900


def test_what_has_ended_is_forgotten() -> None:
    """A sandbox may run for weeks."""
    cloud = Cloud(practice_world(), FakeClock(), Random(1))
    clients, sessions = Clients(cloud), Sessions(cloud)
    registered = clients.register(center(), Asked(b'{"clientName": "a", "clientType": "public"}'))
    client = clients.find(str(registered["clientId"]))
    assert client
    for _ in range(10):
        sessions.give(center(), sessions.begin(center(), "ada", client))
    assert (len(sessions._live), len(sessions._access)) == (10, 10)
    cloud.faults.add(Fault("clock", seconds=8 * 3600))
    sessions.begin(center(), "ada", client)
    assert (len(sessions._live), len(sessions._access), len(sessions._refresh)) == (1, 0, 0)
