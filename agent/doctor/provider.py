"""Does the token of a provider fit what IAM wants, and what has IAM to be told of it?"""

from collections.abc import Iterator, Mapping

from agent.doctor import Finding


def fitting(claims: Mapping[str, object], issuer: str | None) -> Iterator[Finding]:
    """What is to be known of a token of the provider `issuer`, as far as that is configured.

    IAM reads azp, where there is one, in place of aud: for the client IDs of its OIDC provider, and for the condition
    key :aud; aud itself is then :oaud (IAM User Guide, "Available keys for AWS web identity federation").
    """
    named, azp, subject = claims.get("iss"), claims.get("azp"), claims.get("sub")
    if issuer is not None and named != issuer:
        yield Finding(
            "token",
            "warning",
            f"the tokens of {issuer} say that their issuer is {named}",
            f"make the OIDC provider in IAM for {named}, if that is another name of the same; and expect :aud and :sub "
            "in trust policies under that name",
            about="identity.issuer",
        )
    if azp:
        yield Finding(
            "token",
            "note",
            f"the token has azp {azp}, which AWS reads in place of its aud",
            f"put {azp} among the client IDs of the OIDC provider in IAM, and into the condition :aud of trust "
            "policies; aud is :oaud there",
        )
    if not azp and isinstance(claims.get("aud"), str) and claims.get("aud") == issuer:
        yield Finding(
            "token",
            "warning",
            "the token is for the provider itself, as those are that ask for no audience: every client there has such",
            "ask for an audience of AWS's own: identity.audience, identity.resource or a scope",
            about="identity.audience",
        )
    if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
        yield Finding(
            "token",
            "error",
            "the sub of the token is no text of 1 to 255 characters, which AWS wants",
            "let the provider write another subject into the tokens of this client",
        )


def audience_of(claims: Mapping[str, object]) -> str:
    """One audience that the token names, for a judge who wants to be told one."""
    audiences = claims.get("aud")
    return str(audiences[0] if isinstance(audiences, list) and audiences else audiences)
