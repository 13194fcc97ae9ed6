"""In which words does AWS say no?

Codes, statuses and texts are AWS's own wherever they have been seen in public. A text that nobody outside AWS has
seen is marked as a guess: do not build on it.
"""


class Refusal(Exception):
    """An error answer of an AWS service: what the caller will see, to the letter."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Answer with this error code, text and HTTP status."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def fault(self) -> str:
        """Whose fault AWS says it is: Sender, or Receiver for a 5xx."""
        return "Sender" if self.status < 500 else "Receiver"


NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
NOT_AMAZON = "Provided Token is not a Login With Amazon token"
NO_KEY = (  # two spaces after the comma, as AWS writes it
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)
WRONG_CERTIFICATE = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
WRONG_AUDIENCE = "Incorrect token audience"
SEVERAL_AUDIENCES = "Token audience contains more than one audience while authorized party is not present"
ROLE_NOT_PINNED = "The target role ARN is not present in the roles claim of the identity token"
BAD_SIGNATURE = (  # AWS's own text is not known; this is what others who emulate it say
    "The web identity token provided could not be validated. "
    "See the AssumeRoleWithWebIdentity documentation for requirements."
)
BAD_TAGS = "Session tags passed in claim are not in correct format."
BAD_PRINCIPAL_TAGS = "principal_tags passed in claim is not in correct format."
TOO_LONG_A_SESSION = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."


def invalid_token(message: str) -> Refusal:
    """400 InvalidIdentityToken: something is wrong with the token or with how its issuer is known."""
    return Refusal("InvalidIdentityToken", message)


def validation(message: str) -> Refusal:
    """400 ValidationError: a parameter is not what the service's model allows."""
    return Refusal("ValidationError", message)


def not_authorized(action: str) -> Refusal:
    """403 AccessDenied: the same words for a missing role, a wrong principal, a failed condition and a deny."""
    return Refusal("AccessDenied", f"Not authorized to perform {action}", 403)


def no_provider(issuer: str) -> Refusal:
    """The account of the role has no provider of exactly this URL."""
    return invalid_token(f"No OpenIDConnect provider found in your account for {issuer}")


def missing_claim(name: str) -> Refusal:
    """A claim that AWS cannot do without. The text is certain only for iat."""
    return invalid_token(f"Missing a required claim: {name}")


def malformed_policy(message: str) -> Refusal:
    """400 MalformedPolicyDocument."""
    return Refusal("MalformedPolicyDocument", message)


def throttled() -> Refusal:
    """400 Throttling, as STS answers above its rate limit."""
    return Refusal("Throttling", "Rate exceeded")


def idp_unreachable() -> Refusal:
    """400 IDPCommunicationError; the text is a guess after the service's documentation."""
    return Refusal(
        "IDPCommunicationError",
        "The request could not be fulfilled because the identity provider (IDP) that was asked to verify the "
        "incoming identity token could not be reached.",
    )
