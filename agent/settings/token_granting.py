"""Can tokens for others be made, with all that the rest of the file says?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.settings.draft import Draft
from agent.settings.files import TokenFile
from agent.settings.mistakes import Mistake
from agent.settings.token_words import too_large
from agent.settings.tokens import SelfSigned
from agent.wording import Wording


@dataclass(frozen=True, slots=True)
class _Asked:
    """Tokens that are asked for: where, and what they say."""

    setting: str
    audience: str
    wording: Wording


def gives_tokens(words: Mapping[str, object]) -> bool:
    """Whether tokens for others are asked for, as written."""
    grants, files = words.get("grants"), words.get("files")
    granted = isinstance(grants, list) and any(isinstance(one, Mapping) and "audiences" in one for one in grants)
    kept = isinstance(files, list) and any(isinstance(one, Mapping) and one.get("kind") == "token" for one in files)
    return granted or kept


def unfit_tokens(draft: Draft) -> Iterator[Mistake]:
    """Find what is wrong between tokens that are asked for and the other sections."""
    if draft.identity is None or not gives_tokens(draft.words):
        return
    if not isinstance(draft.identity, SelfSigned):
        for number, grant in draft.grants.items():
            if grant.audiences:
                yield Mistake(f"grants#{number}.audiences", _not_ours(draft.identity.source))
        for number, file in draft.files.items():
            if isinstance(file, TokenFile):
                yield Mistake(f"files#{number}.kind", _not_ours(draft.identity.source))
        return
    told = set()
    for asked in _asked(draft, draft.identity):
        table = asked.setting.partition(".")[0]
        if asked.audience == draft.identity.audience:
            yield Mistake(
                asked.setting,
                f"is identity.audience: such a token opens every role that trusts our subject; {_INSTEAD}",
            )
        fault = too_large(asked.wording, draft.issuer.url, asked.audience) if draft.issuer else ""
        if fault and table not in told:
            told.add(table)
            yield Mistake(f"{table}.claims", f"{fault}; leave some out")


_INSTEAD = 'grant roles instead, or write [[files]] with kind = "web_identity_token"'


def _asked(draft: Draft, identity: SelfSigned) -> Iterator[_Asked]:
    for number, grant in draft.grants.items():
        for place, audience in enumerate(grant.audiences, start=1):
            setting = f"grants#{number}.audiences#{place}"
            yield _Asked(setting, audience, grant.wording(identity.subject))
    for number, file in draft.files.items():
        if isinstance(file, TokenFile):
            yield _Asked(f"files#{number}.audience", file.audience, file.wording(identity.subject))


def _not_ours(source: str) -> str:
    said = f'means nothing with identity.source = "{source}": we sign no tokens then, and whoever does makes no others'
    return f'{said} for us; that needs source = "self_signed"'
