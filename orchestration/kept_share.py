"""Which share of the money at risk keeping a customer really saves, as known when a day is planned."""

from datetime import date

from company.policy import Policy
from orchestration.warehouse import Warehouse
from retention.measuring.losses import measure_lasting_share

LEAVERS = "select lost_date, state from customer_360.leavers"
VALUE_SHARE = """
    select value_share from outcomes.money where scope = 'all' and as_of < $as_of order by as_of desc limit 1"""


def read_kept_share(warehouse: Warehouse, policy: Policy, as_of: date) -> float:
    """Return the share: of leavers those who do not come back, times what customers at risk go on to bring.

    The first is measured from the company's own history, and the policy's until that shows it; the second is measured
    at the end of a night from those who were kept, and 1 before the first such night.
    """
    leavers = warehouse.read(LEAVERS).to_pandas()
    lasting, _ = measure_lasting_share(leavers, as_of=as_of, assumed=policy.losses.lasting_share)
    if not warehouse.has_table("outcomes.money"):
        return lasting
    measured = warehouse.read(VALUE_SHARE, {"as_of": as_of}).to_pylist()
    return lasting * float(measured[0]["value_share"]) if measured else lasting
