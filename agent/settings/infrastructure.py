"""What may the operator say about the generated files for AWS and for the web server?"""

from pydantic import Field

from agent.settings.section import Section
from agent.settings.spelling import FilePath, Flag


class Infrastructure(Section):
    """Where Terraform, CloudFormation and nginx files are kept current by `rolecall publish`.

    `require_pinning` has trust policies refuse tokens that do not name the roles they are good for.
    """

    directory: FilePath = Field(examples=['"."'])
    require_pinning: Flag = False
