"""Addresses in clear: which leave the machine, and that a company file is refused unless it names the host."""

from pathlib import Path

import pytest

from company.company_file import Company
from company.transit import TransitError, find_plain, list_addresses
from ingestion.readers import load_company
from orchestration.transit import refuse_plain


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("http://crm.example/api", "crm.example"),
        ("https://crm.example/api", None),
        ("http://127.0.0.1:8377/api", None),
        ("http://localhost:5000", None),
        ("http://[::1]:5000", None),
        ("http://127.0.0.1.example/api", "127.0.0.1.example"),
        ("postgresql+psycopg2://me:secret@db.example/shop", "db.example"),
        ("postgresql://db.example/shop?sslmode=prefer", "db.example"),
        ("postgresql://db.example/shop?sslmode=verify-full", None),
        ("postgresql:///shop?host=/run/postgresql", None),
        ("sqlite:////srv/vault.db", None),
        ("jsons://chat.example/room", None),
        ("json://chat.example/room", "chat.example"),
    ],
)
def test_an_address_without_tls_is_found_unless_it_stays_on_this_machine(address: str, host: str | None) -> None:
    assert find_plain(address) == host


def test_mail_without_tls_is_an_address_in_clear() -> None:
    settings = {"smtp": {"host": "mail.example", "security": "none", "port": 25}}
    assert [find_plain(address) for _, address in list_addresses(settings, "channels")] == ["mail.example"]


def test_a_broker_without_tls_is_an_address_in_clear() -> None:
    broker = {"servers": "a.example:9092,127.0.0.1:9092", "topic": "events"}
    secured = broker | {"settings": {"security.protocol": "SASL_SSL"}}
    for settings, hosts in ((broker, ["a.example", None]), (secured, [])):
        assert [find_plain(address) for _, address in list_addresses({"broker": settings}, "lane")] == hosts


COMPANY = """
company: Shop
industry: retail
timezone: UTC
currency: CHF
history_starts: 2024-01-01
sources:
  shop: {reader: rest, url: "https://shop.example/api"}
tables:
  customers: {source: shop, from: customers, columns: {customer_id: id}}
  orders: {source: shop, from: orders, columns: {order_id: number, customer_id: customer, ordered_at: moment}}
"""


def write(folder: Path, more: str = "", **replaced: str) -> Company:
    text = COMPANY + more
    for old, new in replaced.items():
        text = text.replace(old, new)
    (folder / "company.yaml").write_text(text)
    return load_company(folder / "company.yaml")


def test_every_address_of_a_company_is_looked_at(tmp_path: Path) -> None:
    refuse_plain(write(tmp_path), {"HOLDFAST_TRACKING_URI": "https://mlflow.example"})
    with pytest.raises(TransitError, match=r"sources.shop.url: shop.example would be reached without TLS"):
        refuse_plain(write(tmp_path, https="http"), {})
    with pytest.raises(TransitError, match=r"channels.webhook.url: hooks.example"):
        refuse_plain(write(tmp_path, 'channels: {webhook: {url: "http://hooks.example"}}'), {})
    with pytest.raises(TransitError, match=r"ROOM: chat.example"):
        refuse_plain(write(tmp_path, "channels: {chat: {address: ROOM}}"), {"ROOM": "json://chat.example/room"})
    with pytest.raises(TransitError, match=r"HOLDFAST_OPERATIONAL_URL: db.example .*sslmode=verify-full"):
        refuse_plain(write(tmp_path), {"HOLDFAST_OPERATIONAL_URL": "postgresql://me:word@db.example/holdfast"})
    server = {"AWS_ENDPOINT_URL": "http://store.example:9000"}
    with pytest.raises(TransitError, match=r"AWS_ENDPOINT_URL: store.example would be reached without TLS"):
        refuse_plain(write(tmp_path), {"HOLDFAST_LAKE_FILES": "s3://acme/lake", **server})
    refuse_plain(write(tmp_path), {"HOLDFAST_LAKE_FILES": "/srv/lake", **server})


def test_a_host_that_the_company_file_names_is_allowed(tmp_path: Path) -> None:
    refuse_plain(write(tmp_path, "allow_plain: [shop.example]\n", https="http"), {})
