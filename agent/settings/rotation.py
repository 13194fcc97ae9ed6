"""What may the operator say about how one signing key follows another?"""

from datetime import timedelta
from typing import Annotated, get_args

from pydantic import Field

from agent.keys import Algorithm, Kind
from agent.settings.section import Section
from agent.settings.spelling import FilePath, Flag, one_of, span


class Rotation(Section):
    """When a new key is made, how long it is shown before it signs, and how long after.

    `announce` is counted from when the key was first seen through the issuer's public URL, for as long as it is seen
    there: 2 h 15 min at least, since API Gateway keeps keys for two hours. `keep` must outlast every token and every
    copy of the key set. `state` is the directory in which the ring of keys is kept.
    """

    automatic: Flag = True
    every: Annotated[timedelta, span("1d", "1095d")] = timedelta(days=90)
    announce: Annotated[timedelta, span("2h15m", "30d")] = timedelta(hours=24)
    keep: Annotated[timedelta, span("3h5m", "30d")] = timedelta(hours=24)
    check: Annotated[timedelta, span("1m", "1h")] = timedelta(minutes=10)
    kind: Annotated[Kind, one_of(Kind)] | None = Field(None, examples=['"rsa-2048"'])
    state: FilePath | None = Field(None, examples=['"/var/lib/rolecall"'])


def fits(kind: Kind, algorithm: Algorithm) -> bool:
    """Whether a key of that kind can sign with that algorithm (RFC 7518 §3.3, §3.4)."""
    curves = {"ec-p256": "ES256", "ec-p384": "ES384", "ec-p521": "ES512"}
    return curves.get(kind) == algorithm if kind in curves else algorithm.startswith("RS")


def usual_algorithm(kind: Kind) -> Algorithm:
    """What a key of that kind signs with where nobody says otherwise."""
    algorithms: tuple[Algorithm, ...] = get_args(Algorithm)
    return next(algorithm for algorithm in algorithms if fits(kind, algorithm))
