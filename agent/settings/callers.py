"""What may the operator say about who gets which role?"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Final

from pydantic import Field

from agent.settings.mistakes import Wrong
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import Flag, SecretPaths, array, span

_LATER: Final = "is not in this version, which knows callers by token_file, and anyone = true"


def _role_name(value: str, _: Surroundings) -> str:
    if value == "*":
        raise Wrong('"*" is not taken: name each role, so that a role added later is not given away by accident')
    if not value:
        raise Wrong("is empty; write the name of a role")
    return value


class Grant(Section):
    """Roles, and who may have them: callers who show a token of one of these files, or anyone at all.

    `token_overlap` is how long a token stays good after it was replaced in its file.
    """

    answers: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("user", "uid", "group", "gid", "unit", "slice", "container", "process", "executable"), _LATER
    )

    roles: Annotated[tuple[str, ...], array(_role_name, of="names of roles")] = Field(examples=['["backup"]'])
    token_file: SecretPaths = Field((), examples=['"/etc/rolecall/tokens/backup"'])
    token_overlap: Annotated[timedelta, span("0s", "7d")] = timedelta(hours=1)
    anyone: Flag = False

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Who is meant is always said, and said once."""
        named = "token_file" in words and words["token_file"] != []
        if words.get("roles") == []:
            yield "roles", "is empty; name the roles that are granted"
        if words.get("anyone") is True and named:
            yield (
                "anyone",
                'cannot stand beside "token_file": whoever has no token gets the role as well; keep one of them',
            )
        elif not named and words.get("anyone", False) is False and not cls.answers.keys() & words.keys():
            yield "", 'does not say who gets the roles; write token_file = "/…", or anyone = true if that is meant'
        if "token_overlap" in words and not named:
            yield "token_overlap", "means nothing without token_file; leave it out"
