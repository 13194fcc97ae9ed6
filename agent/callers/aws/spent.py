"""Has this proof been shown before?

A presigned request is a bearer's secret for as long as it lives: whoever sees it on its way, in a log say, can show it
again. aws-iam-authenticator allows that for a quarter of an hour. We take each proof once. Whoever has AWS credentials
signs another one in a millisecond, without asking anybody, so nobody is kept from anything; not even from asking twice
in one second, since a nonce may be signed as well. Only a proof that was not judged, because STS did not answer or a
token could not be made, is as good as before.

What was shown before we started is not known to us, so what was made before that is refused.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from agent.callers.aws import Reason, rejected
from agent.clock import Clock
from agent.errors import ProofUnchecked

#: So many proofs of callers that are granted something are remembered, 20 MB of them; each for at most an hour. More
#: than that is refused: a proof that were forgotten early could be shown again.
MOST: Final = 65_536
#: So many proofs that were no good are remembered, so that they are not asked about again. The oldest are forgotten.
MOST_REFUSED: Final = 8_192
_TIDY: Final = 1.0


class Spent:
    """The proofs that have been shown, by their marks."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        """Nothing was shown yet. `clock` is the one by which proofs end; it may yet learn what time it is."""
        self._clock = clock
        self._began = clock.steady()
        self._most = most
        self._until: dict[bytes, datetime] = {}
        self._tidied = self._began
        self._refused: OrderedDict[bytes, Reason] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered, but for those that were refused."""
        return len(self._until)

    def spend(self, mark: bytes, made: datetime, until: datetime) -> None:
        """Take a proof, made then and good until then. Raises TokenRejected if it was taken before, or may have been.

        Raises ProofUnchecked if no more can be remembered.
        """
        if mark in self._until:
            raise rejected("the proof has been shown before", "used_before", hint="make a new one for each request")
        if made < self._started():
            raise rejected(
                "the proof was made before this agent started, so it may have been used", "expired",
                hint="make a new one for each request; if it is new, compare the clocks",
            )  # fmt: skip
        if len(self._until) >= self._most:
            self._forget()
        if len(self._until) >= self._most:
            raise ProofUnchecked("more proofs were shown than can be remembered", hint="see who asks so often")
        self._until[mark] = until

    def give_back(self, mark: bytes) -> None:
        """Let a proof that nothing came of be shown again."""
        self._until.pop(mark, None)

    def refuse(self, mark: bytes, reason: Reason) -> None:
        """Remember that this very proof is no good, and why."""
        self._refused[mark] = reason
        while len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)

    def why_refused(self, mark: bytes) -> Reason | None:
        """Why it is known to be no good, if it is."""
        return self._refused.get(mark)

    def _started(self) -> datetime:
        """When we began, by what the clock says now, in whole seconds, as proofs have them."""
        since = timedelta(seconds=self._clock.steady() - self._began)
        return (self._clock.now() - since).replace(microsecond=0)

    def _forget(self) -> None:
        """Forget those that have ended. That means looking at all, so not more than once a second."""
        steady, now = self._clock.steady(), self._clock.now()
        if steady - self._tidied >= _TIDY:
            self._tidied = steady
            self._until = {mark: until for mark, until in self._until.items() if until >= now}
