"""Columns of the company's own, which the contract does not know: what they become, and what is refused."""

from typing import TYPE_CHECKING, Any

import pytest

from company.file_faults import CompanyError

if TYPE_CHECKING:
    from conftest import Shop

PEOPLE = (
    "customer_id,email,city,shop,points,card\nc1,ann@x.org,Bern, north ,10,yes\nc2,,Basel,N/A,x,no\nc3,,,south,,maybe\n"
)


def declare(shop: "Shop", **extra: dict[str, Any]) -> None:
    shop.write("people.csv", PEOPLE)
    shop.customers["extra"] = extra


def test_own_columns_land_in_their_types_behind_the_canonical_ones_and_are_cleaned_like_them(shop: "Shop") -> None:
    declare(
        shop,
        first_shop={"sql": "shop", "type": "text"},
        points={"sql": "points", "type": "number"},
        has_card={"sql": "card", "type": "yes-no"},
    )
    report = shop.land("customers")
    assert shop.rows("select extra_first_shop, extra_points, extra_has_card from raw_shop.customers order by 1") == [
        ("north", 10.0, True),
        ("south", None, None),
        (None, None, False),
    ]
    assert (report.rows_landed, report.rows_quarantined) == (3, 0)
    assert report.repairs["extra_points: unreadable_value"] == 1
    assert report.repairs["extra_has_card: unreadable_value"] == 1


def test_a_number_outside_its_bounds_is_emptied_and_counted_and_its_row_stays(shop: "Shop") -> None:
    declare(shop, points={"sql": "points", "type": "number"})
    shop.write("people.csv", PEOPLE.replace(",x,", ",-3,"))
    shop.land("customers")
    declare(shop, points={"sql": "points", "type": "number", "low": 0, "high": 10})
    shop.write("people.csv", PEOPLE.replace(",x,", ",-3,"))
    report = shop.land("customers")
    assert (report.skipped, report.repairs["extra_points: impossible_value"]) == (False, 1)
    assert shop.rows("select extra_points from raw_shop.customers order by customer_id") == [(10.0,), (None,), (None,)]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"sql": "shop", "type": "text", "low": 0}, "`low` and `high` are bounds of a number"),
        ({"sql": "points", "type": "number", "low": 9, "high": 0}, "`low` lies above `high`"),
    ],
)
def test_bounds_of_what_is_no_number_or_in_no_order_are_refused(
    shop: "Shop", extra: dict[str, Any], message: str
) -> None:
    declare(shop, points=extra)
    with pytest.raises(CompanyError, match=message):
        shop.land("customers")


def test_a_table_that_stands_gets_the_column_that_is_declared_later(shop: "Shop") -> None:
    shop.write("people.csv", PEOPLE)
    shop.land("customers")
    declare(shop, first_shop={"sql": "shop", "type": "text"})
    assert not shop.land("customers").skipped
    assert shop.rows("select count(extra_first_shop) from raw_shop.customers") == [(2,)]


def test_a_file_without_own_columns_is_mapped_as_before(shop: "Shop") -> None:
    shop.land("customers")
    assert shop.land("customers").skipped


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"domain": {"sql": "split_part(email, '@', 2)", "type": "text"}},
            "extra.domain.sql: it is computed from `email`",
        ),
        (
            {"first": {"sql": "shap", "type": "text"}},
            "extra.first.sql: there is no column `shap`; did you mean `shop`?",
        ),
        (
            {"first": {"sql": "shop; drop table x", "type": "text"}},
            "extra.first.sql: `shop; drop table x` is not one SQL",
        ),
    ],
)
def test_what_cannot_be_a_column_is_refused_by_its_key(shop: "Shop", extra: dict[str, Any], message: str) -> None:
    declare(shop, **extra)
    shop.customers["columns"]["email"] = "email"
    assert message in shop.refused("customers")


def test_texts_that_name_customers_are_refused_as_personal_data_would_be(shop: "Shop") -> None:
    rows = "".join(f"c{number},,Bern,person {number},1,yes\n" for number in range(60))
    declare(shop, called={"sql": "shop", "type": "text"})
    shop.write("people.csv", PEOPLE.splitlines()[0] + "\n" + rows)
    assert "extra.called.sql: 60 of 60 texts differ: they name customers" in shop.refused("customers")


@pytest.mark.parametrize(
    ("table", "extra", "message"),
    [
        ("orders", {"note": {"sql": "amount", "type": "number"}}, "only `customers` can have columns of your own"),
        ("customers", {"city": {"sql": "city", "type": "text"}}, "`city` is a canonical column of `customers`"),
        ("customers", {"phone": {"sql": "city", "type": "text"}}, "It is personal data: map it under `columns`"),
        (
            "customers",
            {"a": {"sql": "city", "type": "date"}},
            "tables.customers.extra.a.type: the value 'date' does not fit",
        ),
        ("customers", {"A b": {"sql": "city", "type": "text"}}, "tables.customers.extra.A b"),
    ],
)
def test_a_declaration_that_cannot_be_is_named_before_anything_is_read(
    shop: "Shop", table: str, extra: dict[str, Any], message: str
) -> None:
    shop.document["tables"][table]["extra"] = extra
    with pytest.raises(CompanyError) as caught:
        shop.company()
    assert message in str(caught.value)


def test_two_feeds_declare_a_column_alike_or_not_at_all(shop: "Shop") -> None:
    shop.document["sources"]["crm"] = {"reader": "files", "files": {"people": "people.csv"}}
    feeds = [
        {**shop.customers, "source": source, "extra": {"shop": {"sql": "city", "type": kind}}}
        for source, kind in (("shop", "text"), ("crm", "yes-no"))
    ]
    shop.document["tables"]["customers"] = feeds
    with pytest.raises(CompanyError) as caught:
        shop.company()
    assert "tables.customers.0.extra.shop: two feeds declare `shop` with another `type`" in str(caught.value)
