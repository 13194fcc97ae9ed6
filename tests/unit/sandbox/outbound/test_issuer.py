import json
from pathlib import Path

import jwt
import pytest

from agent.sandbox.federation import DEFAULT_ISSUER
from agent.sandbox.outbound.issuer import KIDS, AccountIssuer


@pytest.mark.parametrize("algorithm", [*KIDS])
def test_what_it_signs_is_verified_by_what_it_publishes(tmp_path: Path, algorithm: str) -> None:
    issuer = AccountIssuer(DEFAULT_ISSUER)
    issuer.publish(tmp_path)
    discovery = json.loads((tmp_path / ".well-known" / "openid-configuration").read_text())
    assert discovery["issuer"] == DEFAULT_ISSUER
    assert discovery["jwks_uri"] == f"{DEFAULT_ISSUER}/.well-known/jwks.json"
    keys = jwt.PyJWKSet.from_dict(json.loads((tmp_path / ".well-known" / "jwks.json").read_text()))
    token = issuer.sign({"sub": "somebody"}, algorithm)
    kid = jwt.get_unverified_header(token)["kid"]
    assert jwt.decode(token, keys[kid], algorithms=[algorithm]) == {"sub": "somebody"}


def test_no_private_half_is_published(tmp_path: Path) -> None:
    AccountIssuer(DEFAULT_ISSUER).publish(tmp_path)
    for key in json.loads((tmp_path / ".well-known" / "jwks.json").read_text())["keys"]:
        assert {"d", "p", "q", "dp", "dq", "qi"}.isdisjoint(key)
