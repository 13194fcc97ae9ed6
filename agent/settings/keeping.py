"""Can the files of [[files]] be kept, with all that the rest of the file says?"""

from collections.abc import Iterator
from os.path import normpath

from agent.settings.cognito import IdentityPoolRole
from agent.settings.draft import Draft
from agent.settings.files import CredentialsFile, KeptFile, TokenFile, WebIdentityTokenFile
from agent.settings.granting import unknown_role
from agent.settings.identity_center import IdentityCenterRole
from agent.settings.mistakes import Mistake
from agent.settings.tokens import FromFile


def unfit_files(draft: Draft) -> Iterator[Mistake]:
    """Find what is wrong between [[files]], and between them and the other sections."""
    first: dict[str, tuple[int, KeptFile]] = {}
    profiles: dict[tuple[str, str], int] = {}
    for number, file in draft.files.items():
        if not isinstance(file, TokenFile):
            yield from unknown_role(draft, file.role, f"files#{number}.role")
        if isinstance(file, WebIdentityTokenFile) and isinstance(draft.identity, FromFile):
            said = 'means nothing with identity.source = "file": that token is in a file already'
            yield Mistake(f"files#{number}.kind", f"{said}; let programs read identity.file")
        if isinstance(file, WebIdentityTokenFile) and isinstance(draft.roles.get(file.role), IdentityPoolRole):
            said = f"means nothing for the role {file.role}: an identity pool takes the token for it, not STS"
            yield Mistake(f"files#{number}.kind", f'{said}; write kind = "credentials"')
        if isinstance(file, WebIdentityTokenFile) and isinstance(draft.roles.get(file.role), IdentityCenterRole):
            said = f"means nothing for the role {file.role}: it is had by the sign-in of a person, for no token"
            yield Mistake(f"files#{number}.kind", f'{said}; write kind = "credentials"')
        path = normpath(file.path)
        other, theirs = first.setdefault(path, (number, file))
        if isinstance(file, CredentialsFile):
            taken = profiles.setdefault((path, file.profile), number)
            if taken != number:
                said = f"is that of files#{taken}, in the same file; give it another name"
                yield Mistake(f"files#{number}.profile", said)
        if other != number:
            yield from _sharing(number, file, other, theirs)


def _sharing(number: int, file: KeptFile, other: int, theirs: KeptFile) -> Iterator[Mistake]:
    """Several profiles may be in one file, and nothing else."""
    if not isinstance(file, CredentialsFile) or not isinstance(theirs, CredentialsFile):
        yield Mistake(f"files#{number}.path", f"is that of files#{other}; each needs a file of its own")
    elif (file.group, file.permissions) != (theirs.group, theirs.permissions):
        said = f"is that of files#{other}, but group or mode is not; write the same in both"
        yield Mistake(f"files#{number}.path", said)
