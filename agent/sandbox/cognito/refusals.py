"""In which words does Cognito say no?

The texts are Cognito's own wherever they have been seen in public; what is a guess says so.
"""

from agent.sandbox.refusals import Refusal

INCORRECT = "Incorrect username or password."
EXCEEDED = "Password attempts exceeded"
USED_SESSION = "Invalid session for the user, session can only be used once."
ENDED_SESSION = "Invalid session for the user, session is expired."
WRONG_SESSION = "Invalid session for the user."
REVOKED = "Refresh Token has been revoked"
ENDED_REFRESH = "Refresh Token has expired"
WRONG_REFRESH = "Invalid Refresh Token"


def not_authorized(message: str) -> Refusal:
    """400 NotAuthorizedException."""
    return Refusal("NotAuthorizedException", message)


def invalid(message: str) -> Refusal:
    """400 InvalidParameterException."""
    return Refusal("InvalidParameterException", message)


def no_client(client_id: str) -> Refusal:
    """There is no such app client, in any pool."""
    return Refusal("ResourceNotFoundException", f"User pool client {client_id} does not exist.")


def no_user() -> Refusal:
    """There is no such user, and the client does not hide that."""
    return Refusal("UserNotFoundException", "User does not exist.")


def flow_not_enabled(flow: str) -> Refusal:
    """The app client does not have this way of signing in."""
    return invalid(f"{flow} flow not enabled for this client")


def reused() -> Refusal:
    """A refresh token that has been exchanged for another comes again. The text is a guess."""
    return Refusal("RefreshTokenReuseException", "Refresh token has already been used.")


def mismatch() -> Refusal:
    """A code that is not the right one."""
    return Refusal("CodeMismatchException", "Invalid code received for user")


def bad_password(message: str) -> Refusal:
    """A new password that the pool's policy does not take."""
    return Refusal("InvalidPasswordException", f"Password did not conform with policy: {message}")
