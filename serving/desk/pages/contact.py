"""Clear contact data on a customer's page, once, for who answers for them."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.contacts import reveal_contact
from serving.desk.pages.customer import show_customer
from serving.desk.visit import Form, NotFoundError, Person

router = APIRouter()


@router.post("/contact/{customer_id:path}")
def show_contact(visit: Person, customer_id: str, form: Form) -> Response:
    """Show how a customer can be reached; who looked and why stands in the audit log and in the vault's."""
    reveal = visit.desk.reveal
    if reveal is None:
        visit.require("contact")
        raise NotFoundError
    contact = reveal_contact(visit, customer_id, reason=form.get("reason", ""), reveal=reveal)
    return show_customer(visit, customer_id, contact=contact)
