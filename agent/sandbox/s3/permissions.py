"""May this session do that?

What the role's policies allow, narrowed by the session's own policies; a deny in either denies.
"""

from collections.abc import Mapping

from agent.sandbox.issued import Issued
from agent.sandbox.policies.conditions import Context
from agent.sandbox.policies.policy import Asking, Decision, decide
from agent.sandbox.refusals import Refusal
from agent.sandbox.world import World


def check_permission(issued: Issued, world: World, action: str, resource: str, keys: Context) -> None:
    """Raise Refusal (AccessDenied, in S3's words) unless both sorts of policies allow the action.

    Args:
        issued: the session that asks.
        world: the account; the role's policies are those it has now, not those it had when the session began.
        action: such as s3:GetObject.
        resource: an ARN.
        keys: what this request adds to the session's condition keys; names in lower case.
    """
    role = world.role_of(issued.role_arn)
    context: Mapping[str, tuple[str, ...]] = {**issued.context, **keys}
    asking = Asking(action, resource, context=context)
    by_role = decide(role.identity if role else issued.role_policies, asking)
    by_session = decide(issued.session_policies, asking) if issued.session_policies else Decision.ALLOWED
    at_home = issued.arn.split(":")[4] == world.account_id
    if at_home and by_role is Decision.ALLOWED and by_session is Decision.ALLOWED:
        return
    reason = f"because no identity-based policy allows the {action} action"
    if by_role is Decision.DENIED:
        reason = "with an explicit deny in an identity-based policy"
    elif by_session is Decision.DENIED:
        reason = "with an explicit deny in a session policy"
    elif by_role is Decision.ALLOWED:
        reason = f"because no session policy allows the {action} action"
    if not at_home and by_role is by_session is Decision.ALLOWED:
        reason = f"because no resource-based policy allows the {action} action"
    raise Refusal(
        "AccessDenied",
        f'User: {issued.arn} is not authorized to perform: {action} on resource: "{resource}" {reason}',
        403,
    )
