"""Is what is trusted read as it was written?"""

import json
from datetime import timedelta

import pytest

from agent.errors import ConfigurationError
from agent.sandbox.trusting.as_json import relying_parties_as_json, relying_parties_from_json
from agent.sandbox.trusting.world import JwtAuth, JwtRole, PoolProvider, RelyingParties
from tests.unit.sandbox.relying_parties.place import API, APPLICATION, PROVIDER, VAULT
from tests.unit.sandbox.scene import ISSUER


def test_all_of_it_survives_being_written_down() -> None:
    role = JwtRole(
        "w", (), "s", {"a": ["b"], "c": True}, "glob", "u", ("p",), *[timedelta(seconds=n) for n in (1, 2, 3)]
    )
    uploaded = PoolProvider(
        "1", "pool", "other", ISSUER, ("a",), {"google.subject": "assertion.sub"}, "true", {"keys": []}
    )
    parties = RelyingParties(
        (API,), (APPLICATION,), (PROVIDER, uploaded), (VAULT, JwtAuth(ISSUER, (role,), "m", "", "w"))
    )
    assert relying_parties_from_json(json.loads(json.dumps(relying_parties_as_json(parties)))) == parties


def test_what_is_left_out_has_its_default() -> None:
    assert relying_parties_from_json({}) == RelyingParties()
    assert relying_parties_from_json({"vault": [{"issuer": ISSUER}]}) == RelyingParties(vault=(JwtAuth(ISSUER),))


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ([], "a set of relying parties is a JSON object"),
        ({"api": []}, "a set of relying parties has no 'api'"),
        ({"apis": [{"api_id": "a", "issuer": ISSUER}]}, "HTTP API needs audiences"),
        ({"apis": [{"api_id": "a", "issuer": ISSUER, "audiences": ["x"], "routes": [{}]}]}, "a route needs key"),
        ({"applications": [{"tenant": "t"}]}, "a registered application needs client_id"),
        ({"providers": [{"project": 123}]}, "project of a provider is of the type int"),
        ({"vault": [{"issuer": ISSUER, "roles": [{"bound_subject": "a"}]}]}, "a role needs name"),
        ({"vault": [{"issuer": ISSUER, "roles": [{"name": "a", "clock_skew_leeway": True}]}]}, "is of the type bool"),
    ],
)
def test_what_is_written_wrong_is_said_to_be(written: object, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        relying_parties_from_json(written)
    assert what in caught.value.what
