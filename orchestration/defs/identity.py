"""Identity: which ids are one customer, between the gate on the sources and staging; absent without evidence."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from company.company_file import Company
from ingestion.identity.components import Apart
from ingestion.identity.linking import LinkReport, link
from ingestion.identity.records import has_evidence
from orchestration.control.identity_decisions import IdentityDecisions
from orchestration.dbt_models import OWNER
from orchestration.deployment import Deployment
from orchestration.gates import require_passed
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.store.store import Store

EVIDENCE_TABLES = ("customers", "identities", "events")
DESCRIPTIONS = {
    "links": "One row per evidence that two customer ids are one customer, in words and with its probability.",
    "members": "One row per source and customer id that stands for another one, its group's canonical id.",
}


def define(deployment: Deployment) -> dg.Definitions:
    """Return the assets that link customer ids, none when the company connects nothing that could link two."""
    company = deployment.company
    return dg.Definitions(assets=[build_linking(company)] if has_evidence(company) else [])


def build_linking(company: Company) -> dg.AssetsDefinition:
    """Return the assets that link a company's customer ids."""
    specs = [
        dg.AssetSpec(
            key=["identity", name],
            deps=[[schema, table] for table in EVIDENCE_TABLES for schema in company.feeds().get(table, ())],
            group_name="identity",
            owners=[OWNER],
            kinds={"python", "duckdb", "table"},
            description=description,
        )
        for name, description in DESCRIPTIONS.items()
    ]

    @dg.multi_asset(name="link_customers", specs=specs)
    def link_customers(
        context: dg.AssetExecutionContext,
        deployment: dg.ResourceParam[Deployment],
        warehouse: dg.ResourceParam[Warehouse],
        store: dg.ResourceParam[Store],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Decide who is one customer, keep what a person took apart, and keep the evidence of every link."""
        require_passed(warehouse, store, "sources", as_of=read_as_of(context))
        apart = [
            Apart(customer_id=one.customer_id, other_id=one.other_id) for one in IdentityDecisions(store).read_apart()
        ]
        with warehouse.connect() as connection:
            report = link(
                connection,
                company,
                secrets=deployment.settings.secrets(company.secret_names),
                batch=context.run_id,
                decided_at=datetime.now(UTC),
                apart=apart,
            )
        for name in DESCRIPTIONS:
            shown = describe_table(warehouse, f"identity.{name}") | describe(report, name)
            yield dg.MaterializeResult(asset_key=["identity", name], metadata=shown)

    return link_customers


def describe(report: LinkReport, table: str) -> dict[str, int | str | bool]:
    """Return a linking's counts as asset metadata."""
    if table == "members":
        return {
            "ids_that_stand_for_another": report.members,
            "customers_of_several_ids": report.groups,
            "ids_moved": report.changed,
            "records": report.records,
            "unchanged": report.skipped,
        }
    return {
        "links": report.links,
        "links_cut_by_a_contradiction": report.links_cut,
        "links_undone_by_a_person": report.links_unmerged,
        "pairs_compared_in_clear": report.pairs_compared,
        "pairs_left_open": report.pairs_undecided,
        "ids_and_contacts_ignored": report.values_ignored,
        "names_and_addresses": "compared" if report.is_vault_used else "not compared: no vault is named, tokens alone",
        "unchanged": report.skipped,
    }
