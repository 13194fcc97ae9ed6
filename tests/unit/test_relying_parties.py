"""Who else takes our tokens, and which."""

from typing import get_args

import pytest

from agent.keys import Algorithm
from agent.relying_parties import PARTIES, Name, party_of


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("apigateway", {"RS256", "RS384", "RS512"}),
        ("azure", {"RS256"}),
        ("gcp", {"RS256", "ES256"}),
        ("vault", set(get_args(Algorithm))),
    ],
)
def test_each_takes_what_its_maker_documents(name: Name, takes: set[str]) -> None:
    assert {algorithm for algorithm in get_args(Algorithm) if PARTIES[name].takes(algorithm)} == takes


@pytest.mark.parametrize(
    ("audience", "name"),
    [
        ("api://AzureADTokenExchange", "azure"),
        ("api://AzureADTokenExchangeUSGov", "azure"),
        ("//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q", "gcp"),
        ("https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q", "gcp"),
        ("gcp", "gcp"),
        ("vault", "vault"),
        ("apigateway", "apigateway"),
        ("sts.amazonaws.com", None),
        ("https://vault.example.com", None),
        ("gcp.example.com", None),
    ],
)
def test_who_is_meant_is_told_from_the_audience_where_it_can_be(audience: str, name: str | None) -> None:
    party = party_of(audience)
    assert (party and party.name) == name
