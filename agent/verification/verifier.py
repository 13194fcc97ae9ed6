"""How is a token verified, from its bytes to what it says?

From what is cheap to what costs something, and nothing is asked of an issuer for a token that is not to be taken in any
case. No verdict is kept: with the key at hand there is nothing here that costs more than looking one up safely would.
"""

from agent.clock import Clock
from agent.errors import TokenRejected
from agent.verification import Keys, KeySource, Rule, Verified
from agent.verification.compact import Parts, parts
from agent.verification.rules import check, check_rule, issued_by


class RuleVerifier:
    """Verifies by one rule and the keys of one issuer. Raises ConfigurationError for a rule that nothing can fit."""

    def __init__(self, rule: Rule, keys: KeySource, clock: Clock) -> None:
        """`clock` is the one by which tokens end."""
        check_rule(rule)
        self._rule = rule
        self._keys = keys
        self._clock = clock

    def ready(self, token: bytes) -> Verified | None:
        """Verify at once; None if a key has to be fetched first. Raises TokenRejected."""
        read = self._read(token)
        keys = self._keys.known(read.kid)
        return None if keys is None else self._judged(read, keys)

    async def verify(self, token: bytes) -> Verified:
        """Verify, fetching keys if need be. Raises TokenRejected, or IssuerUnreadable if they cannot be had."""
        read = self._read(token)
        keys = self._keys.known(read.kid)
        return self._judged(read, await self._keys.look_up(read.kid) if keys is None else keys)

    def _read(self, token: bytes) -> Parts:
        """Take it apart, and see whether it is worth a key."""
        read = parts(token)
        if read.algorithm not in self._rule.algorithms:
            raise TokenRejected(
                "the token is signed with an algorithm that the rule does not take",
                reason="algorithm",
                hint=f"the rule takes {', '.join(self._rule.algorithms)}",
            )
        issued_by(read.claims, self._rule.issuer)
        return read

    def _judged(self, read: Parts, keys: Keys) -> Verified:
        if not keys:
            raise TokenRejected(
                "the issuer shows no key of the name that the token gives",
                reason="unknown_key",
                hint="see whether it is of this issuer, and not older than its keys",
            )
        if read.algorithm not in keys:
            raise TokenRejected(
                "the key that the token names is for another algorithm", reason="algorithm", hint="see who made it"
            )
        if not any(fits(read.signed, read.signature) for fits in keys[read.algorithm]):
            raise TokenRejected(
                "the signature of the token is not that of its key",
                reason="signature",
                hint="it was changed, cut off, or signed by somebody else",
            )
        check(read.claims, self._rule, self._clock.now().timestamp())
        return Verified(read.claims, read.header)
