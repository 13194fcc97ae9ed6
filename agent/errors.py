"""What do we apologise for, and whose turn is it?

Every failure that a person, a machine or AWS can cause is one of these. `what` is one sentence on what is
wrong, `hint` one sentence on what to do; neither may ever hold a secret. `retryable` says whether the same
call may succeed later with nobody changing anything.
"""

from typing import ClassVar


class AgentError(Exception):
    """The root of all that we report rather than crash on."""

    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, hint: str = "") -> None:
        """Say what is wrong, and what to do about it."""
        super().__init__(what)
        self.what = what
        self.hint = hint


class ConfigurationError(AgentError):
    """The operator's turn: the configuration, or the command line, asks for what cannot be."""


class KeyUnavailable(AgentError):
    """The operator's turn: the private key, or the device that holds it, cannot sign."""


class TokenUnavailable(AgentError):
    """The identity token could not be had from where it comes from."""

    retryable = True


class TokenRefused(AgentError):
    """The turn of whoever rules the identity provider, or our client there: its answer stays the same until then."""


class CredentialsUnavailable(AgentError):
    """AWS's turn, or the network's: asking again later may well work."""

    retryable = True


class CredentialsNotReady(CredentialsUnavailable):
    """Nobody's turn: the first credentials are still on their way."""


class CredentialsRefused(AgentError):
    """The AWS administrator's turn: the answer stays the same until somebody changes something."""


class SignInNeeded(CredentialsRefused):
    """A person's turn: somebody has to sign in, by the command that the hint names."""


class TokenRejected(AgentError):
    """The bearer's turn: a token that somebody showed us is not one to be taken. `reason` is a word for it."""

    def __init__(self, what: str, *, reason: str = "", hint: str = "") -> None:
        """Say what is wrong with it, without quoting it; `reason` is one of a short list, as metrics want it."""
        super().__init__(what, hint=hint)
        self.reason = reason


class CallerUnknown(AgentError):
    """The caller's turn: it did not show who it is, or what it showed is not known here."""


class ProofUnchecked(AgentError):
    """AWS's turn, or the network's: whether a proof of an AWS identity holds could not be found out just now."""

    retryable = True


class CallerDenied(AgentError):
    """The operator's turn, if anybody's: we know the caller, and it has no grant for this."""


class RoleUnknown(AgentError):
    """The caller's turn: it may ask for roles here, but there is none of that name."""


class RoleAmbiguous(AgentError):
    """The caller's turn: it is granted several roles and did not say which."""


class PublishingFailed(AgentError):
    """The operator's turn: the issuer's documents could not be put where the world reads them."""


class IssuerUnreadable(AgentError):
    """The operator's turn, or the network's: the issuer's documents cannot be read through its public URL."""

    retryable = True


class ListenerUnavailable(AgentError):
    """The operator's turn: an address we should listen on is taken or not ours."""


class AgentUnreachable(AgentError):
    """The operator's turn: no running agent answers this command."""

    retryable = True
