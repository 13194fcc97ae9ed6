"""Who else takes our tokens, and what must one be like for that?

What their makers document: API Gateway's JWT authorizers, workload identity federation of Google Cloud and of Microsoft
Entra ID, the JWT auth method of Vault and OpenBao. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from agent.keys import Algorithm

Name = Literal["apigateway", "azure", "gcp", "vault"]


@dataclass(frozen=True, slots=True)
class Party:
    """A kind of relying party.

    Attributes:
        name: what we call it.
        title: what people call it.
        audience: whom tokens for it are meant for, where nobody says otherwise.
        algorithms: what it takes signatures of; empty for all that we make.
    """

    name: Name
    title: str
    audience: str
    algorithms: tuple[Algorithm, ...] = ()

    def takes(self, algorithm: str) -> bool:
        """Whether it takes tokens that are signed so."""
        return not self.algorithms or algorithm in self.algorithms


PARTIES: Final[Mapping[Name, Party]] = {
    "apigateway": Party("apigateway", "API Gateway", "apigateway", ("RS256", "RS384", "RS512")),
    "azure": Party("azure", "Microsoft Entra ID", "api://AzureADTokenExchange", ("RS256",)),
    "gcp": Party("gcp", "Google Cloud", "gcp", ("RS256", "ES256")),
    "vault": Party("vault", "Vault", "vault"),
}

#: The full name of a provider of Google Cloud, the usual audience of its tokens: the project's number, pool, provider.
GOOGLE_PROVIDER: Final = re.compile(
    r"(?:https:)?//iam\.googleapis\.com/projects/(\d+)/locations/global/workloadIdentityPools/([a-z0-9-]+)/providers/"
    r"([a-z0-9-]+)"
)
#: How audiences begin that only one of them has; national clouds of Microsoft add to theirs.
_BEGINNINGS: Final[Mapping[str, Name]] = {
    "api://AzureADTokenExchange": "azure",
    "//iam.googleapis.com/": "gcp",
    "https://iam.googleapis.com/": "gcp",
}


def party_of(audience: str) -> Party | None:
    """Who is meant by an audience, as far as that can be told from it."""
    for party in PARTIES.values():
        if audience == party.audience:
            return party
    for beginning, name in _BEGINNINGS.items():
        if audience.startswith(beginning):
            return PARTIES[name]
    return None
