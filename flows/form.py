"""The fields of the form by which a run is started: choices as selects, and what is refused before a run starts.

The types hold for the form, and for the server's check of parameters; a flow that is called in Python takes more.
"""

from datetime import date
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from tasks.settings import policy_names


class OneOfThePolicies:
    """A select of the policies that are at hand when the flow is deployed: deploy again where one was added.

    In Python, the path of a policy file is as good as a name.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema of a string, with the names to choose from."""
        return handler(schema) | {"enum": policy_names()}


PolicyName = Annotated[str, OneOfThePolicies]

_DAYS_OF_MONTHS = (
    "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])",
    "(0[469]|11)-(0[1-9]|[12][0-9]|30)",
    "02-(0[1-9]|[12][0-9])",  # 29 February of any year: a pattern of the leap years would be longer than all the others
)
_DATE = f"^[0-9]{{4}}-({'|'.join(_DAYS_OF_MONTHS)})$"
Day = Annotated[date, WithJsonSchema({"type": "string", "format": "date", "pattern": _DATE})]
"""A date picker; the server does not look at the format, but at the pattern."""

_ID: dict[str, Any] = {"type": "string", "minLength": 1}
Ids = Annotated[list[str], WithJsonSchema({"type": "array", "items": _ID, "minItems": 1, "uniqueItems": True})]
"""A list of ids, each once; who means all of them leaves it out."""

Count = Annotated[int, Field(ge=1)]
"""At least one."""
