"""Is the practice issuer one that everybody can believe?"""

import json
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.sandbox import PracticeIssuer, practice_world
from tests.fakes.clock import START
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(rsa_key(), "RS256"), (ec_key(256), "ES256"), (ec_key(384), "ES384"), (ec_key(521), "ES512")],
    ids=["rsa", "p-256", "p-384", "p-521"],
)
def test_its_tokens_verify_with_what_it_publishes(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str, tmp_path: Path
) -> None:
    issuer = PracticeIssuer(ISSUER, key, "k")
    issuer.publish(tmp_path)
    discovery = json.loads((tmp_path / ".well-known" / "openid-configuration").read_text())
    assert discovery["issuer"] == ISSUER
    assert discovery["jwks_uri"] == f"{ISSUER}/keys.json"
    (shown,) = json.loads((tmp_path / "keys.json").read_text())["keys"]
    assert (shown["kid"], shown["alg"], shown["use"]) == ("k", algorithm, "sig")
    assert "d" not in shown
    token = issuer.sign(issuer.claims(START, timedelta(minutes=1)), extra="yes")
    assert jwt.get_unverified_header(token)["extra"] == "yes"
    told = jwt.PyJWS().decode(token, jwt.PyJWK.from_dict(shown), algorithms=[algorithm])
    assert json.loads(told)["exp"] == START.timestamp() + 60


def test_the_key_is_in_no_repr() -> None:
    assert "key=" not in repr(PracticeIssuer(ISSUER, rsa_key(), "k")).replace("kid=", "")


def test_the_world_is_in_the_partition_and_account_of_its_role() -> None:
    world = practice_world(ISSUER, "arn:aws-us-gov:iam::210987654321:role/a/b", "some-bucket")
    assert (world.account_id, world.partition, world.bucket) == ("210987654321", "aws-us-gov", "some-bucket")
    assert world.roles[0].name == "b"
    statement = world.roles[0].policies[0]["Statement"]
    assert isinstance(statement, list)
    assert statement[0]["Resource"] == ["arn:aws-us-gov:s3:::some-bucket", "arn:aws-us-gov:s3:::some-bucket/*"]
