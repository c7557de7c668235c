"""What sending messages needs of an instance: its channels, the vault's addresses, and what is known of recipients."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from ingestion.vault import URL_NAME, Vault
from orchestration.automation import SEND
from orchestration.contacts import look_up_addresses
from orchestration.deployment import Deployment
from orchestration.warehouse import Warehouse
from retention.acting.channels import Channel, ChannelError, build_channels, parse_settings
from retention.acting.channels.base import Addresses, AddressKind
from retention.acting.channels.webhook import read_keys
from retention.acting.clock import Clock, make_clock
from retention.acting.dispatch import Sending
from retention.acting.partners import open_partners
from retention.acting.rules import SendingRules
from retention.store.consents import Consent
from retention.store.notices import is_owner, owner_in
from retention.store.store import Store

ASKER, PURPOSE = "holdfast outbox", "an address for a message"
RECIPIENTS = "select * from decisions.recipients where customer_id in (select unnest($customers))"
CONSENTS = """
    select customer_id, purpose, channel, is_granted, changed_at from staging.stg_consents
    where customer_id in (select unnest($customers))
"""


def open_channels(deployment: Deployment) -> dict[str, Channel]:
    """Return the ways out of the instance that the company file names, the built-in gateway when it names none.

    Raises ChannelError for a wrong setting, and when a channel needs addresses and there is no vault to keep them.
    """
    settings = deployment.settings
    channels = build_channels(deployment.company.channels, folder=settings.outbox_folder, secrets=settings.environment)
    for channel in channels.values():
        if channel.needs is not None and not Vault.is_named(settings.environment):
            raise ChannelError(
                f"The channel {type(channel).__name__} needs the {channel.needs} of customers, and no vault keeps it; "
                f"set {URL_NAME} and the master key (docs/privacy.md), or take the channel out of company.yaml."
            )
    return channels


def open_gateway(deployment: Deployment) -> dict[str, Channel]:
    """Return the built-in gateway for every medium: what replayed days are sent by."""
    return build_channels(
        {"gateway": {}}, folder=deployment.settings.outbox_folder, secrets=deployment.settings.environment
    )


def read_receipt_keys(deployment: Deployment) -> dict[str, list[bytes]]:
    """Return the keys with which receivers sign what they report, by kind of channel. Raises ChannelError."""
    secrets = deployment.settings.environment
    parsed = parse_settings(deployment.company.channels)
    return {kind: read_keys(kind, "receipt_keys", each.receipt_keys, secrets) for kind, each in parsed.items()}


def prepare_sending(
    deployment: Deployment, store: Store, channels: Mapping[str, Channel], *, is_replay: bool = False
) -> Sending:
    """Return what to send with: the real channels, or for replayed days the built-in gateway."""
    return Sending(
        channels=open_gateway(deployment) if is_replay else {**channels, **open_partners(store.subscriptions.read())},
        delivery=deployment.policy.delivery,
        rules=make_rules(deployment),
        addresses=find_addresses(deployment, store),
        is_replay=is_replay,
        clock=now,
    )


def make_rules(deployment: Deployment) -> SendingRules:
    """Return the rules of contact by the company's clock."""
    return SendingRules(contact=deployment.policy.contact_rules, timezone=deployment.company.timezone)


def company_clock(deployment: Deployment) -> Clock:
    """Return the clock of alerts by the company's calendar and its owners'."""
    return make_clock(deployment.policy, timezone=deployment.company.timezone)


def find_addresses(deployment: Deployment, store: Store) -> Addresses:
    """Return the look-up of addresses: of customers the audited one in the vault, of owners that in the secrets."""
    secrets, owners = deployment.settings.environment, deployment.policy.owners
    vault = Vault.from_secrets(secrets) if Vault.is_named(secrets) else None

    def look_up(receivers: Collection[str], kind: AddressKind) -> dict[str, str]:
        customers = sorted(receiver for receiver in receivers if not is_owner(receiver))
        declared = {each: owners.get(owner_in(each)) for each in receivers if is_owner(each)}
        found = {
            each: secrets[owner.address]
            for each, owner in declared.items()
            if owner is not None and owner.address is not None and owner.address in secrets
        }
        if vault is None:
            return found
        return found | look_up_addresses(vault, store, customers, kind, asker=ASKER, purpose=PURPOSE, at=now())

    return look_up


def refresh_recipients(warehouse: Warehouse, store: Store) -> None:
    """Take over what the warehouse now knows of customers for whom a message or an alert waits.

    Of both, the language and where their addresses are; of the first, their consents.
    """
    written_to, answered_for = store.outbox.open_customers(), store.alerts.read_waiting_customers()
    known = sorted({*written_to, *answered_for})
    if known:
        store.recipients.replace(warehouse.read(RECIPIENTS, {"customers": known}).to_pandas())
    if written_to:
        consents = warehouse.read(CONSENTS, {"customers": written_to}).to_pylist()
        dated = [{**row, "changed_at": row["changed_at"].replace(tzinfo=UTC)} for row in consents]
        store.consents.record((Consent(**row, reported_by="feed") for row in dated), at=now())


def is_replayed(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, deployment: Deployment, as_of: date
) -> bool:
    """Tell whether a run replays its day: it is over on the company's clock, and real sending was not asked for."""
    return is_past(deployment, as_of) and SEND not in context.run.tags


def is_past(deployment: Deployment, as_of: date) -> bool:
    """Tell whether a day is over on the company's clock."""
    return as_of < now().astimezone(ZoneInfo(deployment.company.timezone)).date()


def now() -> datetime:
    """Return the moment that it is."""
    return datetime.now(UTC)
