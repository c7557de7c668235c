"""`holdfast init`: a first company file that explains itself."""

from pathlib import Path

from company.file_faults import CompanyError, Fault

_STARTER = """\
# One company in one file: who you are, where your rows come from, and which of your columns mean what.
# Edit it, then run `holdfast check company.yaml`: it reports what is missing and shows how it reads your rows.
# Nothing but one flat table, a customer per row? Then a few keys are enough: docs/flat-table.md.

company: My Company
industry: retail            # retail, ecommerce, finance, telecom or saas
timezone: UTC               # decides what a day is, such as Europe/Berlin
currency: USD
history_starts: 2024-01-01  # the first day of your records
encryption: required        # the instance's files are encrypted under HOLDFAST_ENCRYPTION_KEY: docs/encryption.md

churn:                      # without this block, the industry's usual definition
  definition: inactivity    # inactivity, contract_end, spend_fall (with fall_share: 0.8) or account_closed
  active_within_days: 60    # a customer who bought within the last 60 days ...
  horizon_days: 30          # ... and buys nothing in the next 30 has churned
  lead_days: 0

# strategies: plays         # a folder with strategies of your own, in addition to the industry's
# cleaning:                 # your own rules, in addition to the product's; docs/cleaning.md lists them all
#   vocabulary: {orders: {channel: {store: [flagship]}}}
#   bounds: [{table: orders, column: amount, low: 0, high: 20000}]

sources:
  shop:
    reader: files           # csv, tsv, parquet, json or jsonl, also .gz; globs; paths are relative to this file
    # timezone: Europe/Berlin   # of timestamps without a zone; UTC by default
    files:
      customers: data/customers.csv
      orders: data/orders.csv
  # crm:
  #   reader: sql
  #   connection: CRM_URL   # NAME of an environment variable that holds an SQLAlchemy address

tables:                     # canonical column: any SQL expression over your columns
  customers:
    source: shop
    from: customers         # a name of `files`, or a join or subquery over such names
    columns:
      customer_id: customer_id
      # city: city
      # signed_up_at: created_at
      # email: email        # personal columns become keyed tokens; set HOLDFAST_TOKEN_KEY first
    # extra:                # columns of your own, which no table has
    #   first_shop: {sql: shop, type: text, never_changes: true}   # what never changes is a feature

  orders:
    source: shop
    from: orders
    # encoding: cp1252         # of an export that is no plain UTF-8 with commas and ISO dates: docs/feeds.md
    # date_format: "%d.%m.%Y"
    # decimal: ","
    # fresh_within_days: 3     # when the newest order is older, the sources gate closes
    columns:
      order_id: order_id
      customer_id: customer_id
      ordered_at: ordered_at
      # amount: cast(net as double) + cast(tax as double)
      # is_test: memo = 'test'    # removed in staging, and counted

  # Everything else is optional: identities, order_lines, products, subscriptions, usage, events, invoices,
  # deliveries, tickets, feedback, referrals, campaigns, touches, redemptions, consents. A table that is not connected
  # is absent downstream, and nothing breaks.
"""


def write_company(path: Path) -> Path:
    """Write a commented company file to `path` and return it; raises CompanyError when something stands there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(_STARTER)
    except FileExistsError:
        fix = "Choose another name, or move the file away first."
        raise CompanyError(path, Fault(key="", problem="the file exists already.", fix=fix)) from None
    except OSError as error:
        fix = "Choose a folder that you may write to."
        raise CompanyError(path, Fault(key="", problem=f"it cannot be written ({error.strerror}).", fix=fix)) from None
    return path
