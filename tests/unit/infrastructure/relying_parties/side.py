"""What a relying party is told, for tests: an ordinary host, and one whose name is a trap for every quoting."""

from agent.infrastructure.relying_parties import Side
from agent.relying_parties import PARTIES, Name

ISSUER = "https://oidc.example.com"
TRAP = "host:a'b\"c$HOME`id`\\n%{if}${x} é"


def side(name: Name, subject: str = "host:web-1", audience: str = "") -> Side:
    return Side(PARTIES[name], ISSUER, audience or PARTIES[name].audience, subject)
