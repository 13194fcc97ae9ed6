"""What may the operator say about where our public keys are published?"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from agent.settings.section import Section
from agent.settings.spelling import FilePath, one_of, span

#: Places that a later version will know.
LATER: Final = ("s3", "http")


class Directory(Section):
    """A directory that a web server shows. `max_age`: for how long it is to let readers keep a copy."""

    to: Annotated[Literal["directory"], one_of(Literal["directory"])]
    directory: FilePath = Field(examples=['"/var/www/oidc"'])
    max_age: Annotated[timedelta, span("0s", "1d")] = timedelta(minutes=5)


Publishing = Directory

#: The kinds of [publishing], by their `to`.
PLACES: Final[Mapping[str, type[Publishing]]] = {"directory": Directory}
