"""Answers of programs to alerts and incidents: their bodies, and each given once."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from company.policy import Policy
from retention.store.answers import Answerable
from serving.actor import InvalidRequestError
from serving.answers import Answer, MovedOnError, give_answer
from serving.api.caller import Caller
from serving.api.idempotency import ConflictError, write_once

Note = Annotated[str, Field(max_length=400, description="Write no personal data.")]


class Assign(BaseModel):
    """Who answers from now on: an owner of the policy."""

    model_config = ConfigDict(extra="forbid")

    owner: Annotated[str, Field(max_length=200)]
    note: Note = ""

    def read(self, policy: Policy) -> Answer:
        """Return the answer. Raises InvalidRequestError for an owner whom the policy does not name."""
        if self.owner not in policy.owners:
            raise InvalidRequestError("There is no such owner; `owners` of the policy names them.")
        return Answer(action="hand_over", owner=self.owner, note=self.note)


class Close(BaseModel):
    """Whether it was useful."""

    model_config = ConfigDict(extra="forbid")

    feedback: Literal["useful", "wrong", "already_known"]
    note: Note = ""

    def read(self) -> Answer:
        """Return the answer."""
        return Answer(action="close", feedback=self.feedback, note=self.note)


def answer_once(
    program: Caller,
    of: Answerable,
    its_id: str,
    given: Answer,
    *,
    body: BaseModel | None,
    idempotency_key: str,
    customer_id: str | None = None,
) -> dict[str, Any]:
    """Return the state before and after; a retry gets the first answer. Raises ConflictError when it has moved on."""

    def act() -> dict[str, Any]:
        try:
            before, after = give_answer(program, of, its_id, given, customer_id=customer_id)
        except MovedOnError as error:
            raise ConflictError(str(error)) from None
        return {"before": before, "after": after}

    return write_once(program, idempotency_key, body, act)
