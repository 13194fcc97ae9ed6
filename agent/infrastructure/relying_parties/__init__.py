"""What must another relying party be told before it believes our tokens?

This door has the values; each party's file writes them down, as Terraform and as commands of its own tool. All of it is
text: nothing here talks to anybody.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from agent.errors import ConfigurationError
from agent.relying_parties import Party

_LONGEST_BY_ENTRA: Final = 600  # characters
_LONGEST_SUBJECT_BY_GOOGLE: Final = 127  # bytes
_LONGEST_AUDIENCE_BY_GOOGLE: Final = 256  # characters


@dataclass(frozen=True, slots=True)
class Side:
    """What one relying party is to believe: tokens of this issuer, for this audience, about this subject."""

    party: Party
    issuer: str
    audience: str
    subject: str

    def __post_init__(self) -> None:
        """Refuse what cannot work there. Raises ConfigurationError."""
        for name, text in (("subject", self.subject), ("audience", self.audience)):
            if not unicodedata.is_normalized("NFC", text):
                raise ConfigurationError(
                    f"the {name} {text!r} has letters composed of several characters, which Terraform would change",
                    hint="write it in plain ASCII, or in Unicode's normal form NFC",
                )
        match self.party.name:
            case "azure":
                self._fits_entra()
            case "gcp":
                self._fits_google()
            case _:
                pass

    def _fits_entra(self) -> None:
        for name, text in (("issuer", self.issuer), ("subject", self.subject), ("audience", self.audience)):
            if len(text) > _LONGEST_BY_ENTRA:
                raise ConfigurationError(
                    f"the {name} is {len(text)} characters long; {self.party.title} takes {_LONGEST_BY_ENTRA}",
                    hint=f"choose a shorter {name}",
                )

    def _fits_google(self) -> None:
        size = len(self.subject.encode())
        if size > _LONGEST_SUBJECT_BY_GOOGLE:
            raise ConfigurationError(
                f"the subject is {size} bytes long; {self.party.title} takes {_LONGEST_SUBJECT_BY_GOOGLE}",
                hint="choose a shorter subject",
            )
        if len(self.audience) > _LONGEST_AUDIENCE_BY_GOOGLE or "," in self.audience:
            raise ConfigurationError(
                f"{self.party.title} takes no audience {self.audience!r}",
                hint=f"choose one of up to {_LONGEST_AUDIENCE_BY_GOOGLE} characters without a comma",
            )

    def label(self, longest: int) -> str:
        """The subject as a name of letters, digits, - and _, which starts with a letter or digit."""
        return re.sub(r"[^A-Za-z0-9_]+", "-", self.subject).strip("-_")[:longest].rstrip("-_") or "rolecall"
