from agent.tokens.oauth2.asking import Wanted


def test_what_is_not_configured_is_not_asked_for() -> None:
    assert Wanted().form() == [("grant_type", "client_credentials")]


def test_each_resource_is_a_parameter_of_its_own() -> None:
    form = Wanted(scope="openid a", audience="aws", resource=("urn:one", "urn:two")).form()

    assert form[1:] == [("scope", "openid a"), ("audience", "aws"), ("resource", "urn:one"), ("resource", "urn:two")]
