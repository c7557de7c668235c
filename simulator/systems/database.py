"""The company's database: schemas crm, oms and bill, staged as parquet and later copied into PostgreSQL."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.behaviour.backoffice import NEVER
from simulator.behaviour.orders import product_prices
from simulator.behaviour.presence import Columns, position_within, repeat
from simulator.calendar import DAY_MS, Month
from simulator.defects import KEEP, MERGE, QUARANTINE, REMOVE, REPAIR, Change, Ledger, chosen, misspell_codes
from simulator.hazard import OTHER, STAYS, State
from simulator.parameters.schema import CAUSES
from simulator.streams import Indices, Integers, generator, pick
from simulator.systems.directory import TEST_ACCOUNT, Directory
from simulator.systems.sheets import Sheet, join, moments, named, numbered, replace_at
from simulator.world import World

_FAILURES = ("LATE", "LOST", "NO_STOCK")
_STATUS = ("SUCC", "FAIL", "REFUND")
_ABSURD_AMOUNT = 99_999_999.0
_ABSURD_BIRTH = "1875-01-01 00:00:00.000"
_LEVEL_ABOVE = (0.70, 0.92)
_TEST_ORDERS_KEY = "test"
_OPENS_AT_MS = 10 * 3_600_000


class Database:
    """Writes the staged tables of one world into `folder`, month by month, then the master data at the end."""

    def __init__(self, folder: Path, world: World, directory: Directory, ledger: Ledger) -> None:
        """Prepare the sheets; nothing is written yet."""
        self.folder, self._world, self._directory, self._ledger = folder, world, directory, ledger
        self._orders = Sheet(folder / "oms.sales_order.parquet")
        self._lines = Sheet(folder / "oms.sales_order_item.parquet")
        self._meters = Sheet(folder / "bill.meter_reading.parquet")
        self._shipments = Sheet(folder / "oms.shipment.parquet")
        self._invoices = Sheet(folder / "bill.invoice.parquet")
        self._referrals = Sheet(folder / "crm.referral.parquet")

    def write_month(
        self, month: Month, orders: Columns, lines: Columns, readings: Columns, *, deliveries: Columns,
        invoices: Columns,
    ) -> None:  # fmt: skip
        """Append one month of orders, lines, readings, deliveries and invoices."""
        rng = generator(self._world.seed, "database", month.index)
        account = self._accounts(rng, orders["customer"], orders["at"])
        codes = numbered(f"O{month.first:%y%m}", np.arange(len(account)), width=8)
        self._write_orders(rng, month, codes, account, orders)
        if lines:
            self._write_lines(codes, account, orders, lines)
        if readings:
            self._write_readings(readings)
        if deliveries:
            self._write_shipments(month, codes, account, orders, deliveries)
        if invoices:
            self._write_invoices(month, codes, account, orders, invoices)

    def _accounts(self, rng: np.random.Generator, customer: Indices, at: Integers) -> Indices:
        if self._world.parameters.orders.kind == "invoices":
            return customer
        return self._directory.account_at(rng, customer, (at - self._world.calendar.origin_ms) // DAY_MS)

    def _write_orders(
        self, rng: np.random.Generator, month: Month, codes: pa.Array, account: Indices, orders: Columns
    ) -> None:
        parameters = self._world.parameters
        channels = [*parameters.visits.channels, "store"]
        channel = np.where(orders["online"], orders["channel"], len(channels) - 1)
        amount = orders["amount"].astype(np.float64)
        paid = self._spoil_amounts(rng, codes, amount)
        spelled, hit = misspell_codes(rng, named(channels, channel), parameters.defects["enum_variant"])
        clean = named(channels, channel).take(pa.array(hit))
        table, keys = "oms.sales_order", codes.take(pa.array(hit))
        self._ledger.declare(
            "enum_variant",
            table,
            keys,
            remedy=REPAIR,
            change=Change(column="sales_channel", clean=clean, dirty=spelled.take(pa.array(hit))),
        )
        table_rows = pa.table(
            {
                "order_no": codes,
                "acct_no": self._directory.ids.take(pa.array(account)),
                "placed_at": moments(self._world.calendar.to_utc(orders["at"])),
                "paid_amt": paid,
                "disc_amt": orders["discount"].astype(np.float64),
                "line_cnt": orders["count_lines"].astype(np.int32),
                "sales_channel": spelled,
                "shop_cd": join("S", numbered("", np.maximum(orders["store"], 0), width=3)),
                "pay_type": named(list(parameters.orders.payments), orders["payment"]),
                "order_stat": named(_STATUS, orders["status"]),
                "memo": pa.nulls(len(codes), pa.string()),
            }
        )
        self._orders.add(pa.concat_tables([table_rows, self._test_orders(rng, month, table_rows)]))

    def _spoil_amounts(self, rng: np.random.Generator, codes: pa.Array, amount: np.ndarray) -> np.ndarray:
        hit = chosen(rng, len(amount), self._world.parameters.defects["impossible_value"])
        negative = rng.random(len(hit)) < 0.5  # noqa: PLR2004 - even odds
        spoilt = amount.copy()
        spoilt[hit] = np.where(negative, -amount[hit] - 1, _ABSURD_AMOUNT)
        self._ledger.declare(
            "impossible_value",
            "oms.sales_order",
            codes.take(pa.array(hit)),
            remedy=QUARANTINE,
            change=Change(column="paid_amt", clean=pa.array(amount[hit]), dirty=pa.array(spoilt[hit])),
        )
        return spoilt

    def _test_orders(self, rng: np.random.Generator, month: Month, rows: pa.Table) -> pa.Table:
        """Return orders that the shop's own people placed to try the till."""
        hit = chosen(rng, rows.num_rows, self._world.parameters.defects["test_row"])
        copies = rows.take(pa.array(hit))
        codes = numbered(f"TEST{month.first:%y%m}", np.arange(len(hit)), width=6)
        fresh = {
            "order_no": codes,
            "acct_no": pa.repeat(TEST_ACCOUNT, len(hit)),
            "paid_amt": pa.array(np.full(len(hit), 0.01)),
            "memo": pa.repeat("test order", len(hit)),
        }
        self._ledger.declare("test_row", "oms.sales_order", codes, remedy=REMOVE)
        columns = [fresh.get(name, copies.column(name)) for name in copies.column_names]
        return pa.table(columns, schema=rows.schema)

    def _write_lines(self, codes: pa.Array, account: Indices, orders: Columns, lines: Columns) -> None:
        order = pa.array(lines["order"])
        self._lines.add(
            pa.table(
                {
                    "order_no": codes.take(order),
                    "item_no": lines["number"].astype(np.int32),
                    "acct_no": self._directory.ids.take(pa.array(account)).take(order),
                    "placed_at": moments(self._world.calendar.to_utc(orders["at"])).take(order),
                    "sku": numbered("P", lines["product"], width=5),
                    "qty": lines["quantity"].astype(np.int32),
                    "line_amt": lines["amount"].astype(np.float64),
                    "line_disc": lines["discount"].astype(np.float64),
                }
            )
        )

    def _write_readings(self, readings: Columns) -> None:
        metrics = self._world.parameters.usage
        self._meters.add(
            pa.table(
                {
                    "acct_no": self._directory.ids.take(pa.array(readings["customer"])),
                    "read_at": moments(self._world.calendar.to_utc(readings["at"])),
                    "metric_cd": named(list(metrics), readings["metric"]),
                    "metric_val": readings["value"].astype(np.float64),
                    "uom": named([metric.unit for metric in metrics.values()], readings["metric"]),
                }
            )
        )

    def _write_shipments(
        self, month: Month, codes: pa.Array, account: Indices, orders: Columns, deliveries: Columns
    ) -> None:
        order, to_utc = deliveries["order"], self._world.calendar.to_utc
        self._shipments.add(
            pa.table(
                {
                    "shipment_no": numbered(f"D{month.first:%y%m}", np.arange(len(order)), width=8),
                    "order_no": codes.take(pa.array(order)),
                    "acct_no": self._directory.ids.take(pa.array(account[order])),
                    "placed_at": moments(to_utc(orders["at"][order])),
                    "promise_ts": moments(to_utc(deliveries["promised"])),
                    "arrive_ts": self._moments_or_never(deliveries["delivered"]),
                    "fail_ts": self._moments_or_never(deliveries["failed"]),
                    "fail_cd": named(_FAILURES, deliveries["failure"]),
                    "sku": _products(deliveries["product"]),
                }
            )
        )

    def _write_invoices(
        self, month: Month, codes: pa.Array, account: Indices, orders: Columns, invoices: Columns
    ) -> None:
        to_utc = self._world.calendar.to_utc
        self._invoices.add(
            pa.table(
                {
                    "invoice_no": numbered(f"I{month.first:%y%m}", invoices["order"], width=8),
                    "order_no": codes,
                    "acct_no": self._directory.ids.take(pa.array(account)),
                    "issue_ts": moments(to_utc(orders["at"])),
                    "due_ts": moments(to_utc(invoices["due"])),
                    "pay_ts": self._moments_or_never(invoices["paid"]),
                    "remind_ts": self._moments_or_never(invoices["dunned"]),
                    "dispute_ts": self._moments_or_never(invoices["disputed"]),
                    "total_amt": orders["amount"].astype(np.float64),
                }
            )
        )

    def write_referrals(self, month: Month, referrals: Columns) -> None:
        """Append one month of recommendations, of companies that keep them."""
        if referrals:
            customer = referrals["customer"]
            self._referrals.add(
                pa.table(
                    {
                        "ref_no": numbered(f"R{month.first:%y%m}", np.arange(len(customer)), width=6),
                        "acct_no": self._directory.ids.take(pa.array(customer)),
                        "sent_ts": moments(self._world.calendar.to_utc(referrals["at"])),
                        "join_ts": self._moments_or_never(referrals["joined"]),
                    }
                )
            )

    def _moments_or_never(self, local_ms: Integers) -> pa.Array:
        absent = local_ms == NEVER
        return moments(self._world.calendar.to_utc(np.where(absent, 0, local_ms)), absent=absent)

    def close(self, state: State) -> None:
        """Write the master data as they stand at the world's end, and finish every file."""
        for sheet in (self._orders, self._lines, self._meters, self._shipments, self._invoices, self._referrals):
            sheet.close()
        self._write_accounts()
        self._write_references()
        self._write_consents()
        if self._world.parameters.catalogue is not None:
            self._write_items()
        if self._world.parameters.contracts is not None:
            self._write_contracts(state)

    def _write(self, name: str, table: pa.Table) -> None:
        sheet = Sheet(self.folder / f"{name}.parquet")
        sheet.add(table)
        sheet.close()

    def _kinds(self) -> Indices:
        """0 person, 1 company, 2 contact person of a company."""
        directory = self._directory
        kinds = self._world.is_company[directory.owner].astype(np.int32)
        kinds[len(directory.owner) - directory.count_contacts :] = 2
        return kinds

    def _opened(self) -> Integers:
        world, directory = self._world, self._directory
        day = world.signed_day[directory.owner].copy()
        second = slice(world.size, world.size + directory.count_second)
        day[second] = np.maximum(directory.second_day[directory.owner[second]], day[second])
        return world.calendar.day_ms(day) + _OPENS_AT_MS

    def _write_accounts(self) -> None:
        world, directory, population = self._world, self._directory, self._world.parameters.population
        rng = generator(world.seed, "accounts")
        owner, kinds, total = directory.owner, self._kinds(), len(directory.owner)
        opened = self._opened()
        there = np.flatnonzero(opened < world.calendar.end_ms)
        sex, sex_hit = misspell_codes(
            rng, named(["F", "M"], directory.is_male), world.parameters.defects["enum_variant"]
        )
        births, birth_hit = self._spoil_births(rng)
        tags, tag_hit = self._lose_tags(rng, named(population.preferences, owner % len(population.preferences)))
        rank = np.argsort(np.argsort(world.appetite)) / world.size
        level = np.searchsorted(_LEVEL_ABOVE, rank)[owner]
        acquisition = list(population.acquisition)
        cost = np.array([item.cost for item in population.acquisition.values()])[world.acquisition]
        is_company = kinds == 1
        table = pa.table(
            {
                "acct_no": directory.ids,
                "acct_type": named(["P", "C", "K"], kinds),
                "parent_acct_no": directory.ids.take(pa.array(owner, mask=kinds != 2)),  # noqa: PLR2004 - see _kinds
                "full_nm": directory.names,
                "email_addr": directory.emails,
                "mobile_no": directory.phones,
                "addr_line": directory.addresses,
                "birth_dt": pc.if_else(pa.array(is_company), None, pc.utf8_slice_codeunits(births, 0, 10)),
                "sex_cd": pc.if_else(pa.array(is_company), None, sex),
                "city_nm": self._cities(),
                "region_cd": named(list(world.parameters.regions), world.region[owner]),
                "country_cd": pa.repeat(world.parameters.country, total),
                "income_grp": named(["low", "middle", "high"], pick(rng, [0.35, 0.5, 0.15], total)),
                "home_type": named(["single", "couple", "family"], pick(rng, [0.3, 0.3, 0.4], total)),
                "vip_lvl": named(list(population.levels), level),
                "pref_tag": tags,
                "open_ts": moments(world.calendar.to_utc(opened)),
                "src_channel": named(acquisition, world.acquisition[owner]),
                "acq_cost_amt": np.where(np.arange(total) < world.size, cost[owner], 0.0),
                "acct_mgr": numbered("E", world.region[owner] * 10 + owner % 10, width=3),
            }
        )
        self._write("crm.account", pa.concat_tables([table.take(pa.array(there)), _test_account(table.schema)]))
        self._declare_accounts(
            table, there, {"sex_cd": sex_hit, "birth_dt": birth_hit, "pref_tag": tag_hit}, is_company
        )

    def _cities(self) -> pa.Array:
        world = self._world
        regions = list(world.parameters.regions.values())
        starts = np.cumsum([0, *(len(region.cities) for region in regions)])[:-1]
        cities = [city for region in regions for city in region.cities]
        return named(cities, (starts[world.region] + world.city)[self._directory.owner])

    def _spoil_births(self, rng: np.random.Generator) -> tuple[pa.Array, Indices]:
        births = self._directory.birth_dates
        hit = chosen(rng, len(births), self._world.parameters.defects["impossible_birth"])
        return replace_at(births, hit, pa.repeat(_ABSURD_BIRTH, len(hit))), hit

    def _lose_tags(self, rng: np.random.Generator, tags: pa.Array) -> tuple[pa.Array, Indices]:
        hit = chosen(rng, len(tags), self._world.parameters.defects["missing_tag"])
        return replace_at(tags, hit, pa.nulls(len(hit), pa.string())), hit

    def _declare_accounts(
        self, table: pa.Table, there: Indices, hits: dict[str, Indices], is_company: np.ndarray
    ) -> None:
        directory, population = self._directory, self._world.parameters.population
        clean = {
            "sex_cd": named(["F", "M"], directory.is_male),
            "birth_dt": pc.utf8_slice_codeunits(directory.birth_dates, 0, 10),
            "pref_tag": named(population.preferences, directory.owner % len(population.preferences)),
        }
        kinds = {"sex_cd": "enum_variant", "birth_dt": "impossible_value", "pref_tag": "missing_tag"}
        for column, hit in hits.items():
            kept = np.intersect1d(hit, there)
            kept = pa.array(kept if column == "pref_tag" else kept[~is_company[kept]])
            dirty = table.column(column).combine_chunks().take(kept)
            keys = directory.ids.take(kept)
            self._ledger.declare(
                kinds[column],
                "crm.account",
                keys,
                remedy=REPAIR,
                change=Change(column=column, clean=clean[column].take(kept), dirty=dirty),
            )
        self._declare_people(there)

    def _declare_people(self, there: Indices) -> None:
        world, directory = self._world, self._directory
        second = np.intersect1d(np.arange(world.size, world.size + directory.count_second), there)
        first = directory.ids.take(pa.array(directory.owner[second]))
        keys = directory.ids.take(pa.array(second))
        self._ledger.declare(
            "duplicate_identity",
            "crm.account",
            keys,
            remedy=MERGE,
            change=Change(column="acct_no", clean=first, dirty=keys),
        )
        home = np.intersect1d(np.flatnonzero(world.in_household), there)
        phones = directory.phones.take(pa.array(home))
        keys = directory.ids.take(pa.array(home))
        self._ledger.declare(
            "household_phone",
            "crm.account",
            keys,
            remedy=KEEP,
            change=Change(column="mobile_no", clean=phones, dirty=phones),
        )

    def _write_references(self) -> None:
        """Other ids of the accounts: devices after login for all, the loyalty card or portal login for most."""
        directory, world = self._directory, self._world
        rng = generator(world.seed, "references")
        opened = self._opened()
        people = np.flatnonzero(self._kinds() < 2)  # noqa: PLR2004 - see _kinds
        is_there, carries = opened[people] < world.calendar.end_ms, rng.random(len(people)) < 0.8  # noqa: PLR2004
        person, has_card = people[is_there], people[is_there & carries]
        parts = [
            (person, "device", device_codes(person, np.zeros(len(person), dtype=np.int32)), False),
            (has_card, "card", numbered("62", has_card * 97 + 11, width=10), True),
        ]
        tables = [
            pa.table(
                {
                    "acct_no": directory.ids.take(pa.array(rows)),
                    "ref_type": pa.repeat(kind, len(rows)),
                    "ref_value": values,
                    "verified_flag": pa.repeat("Y" if verified else "N", len(rows)),
                    "first_seen": moments(world.calendar.to_utc(opened[rows])),
                }
            )
            for rows, kind, values, verified in parts
        ]
        self._write("crm.id_xref", pa.concat_tables(tables))

    def _write_consents(self) -> None:
        world, directory = self._world, self._directory
        rng = generator(world.seed, "consents")
        opened = self._opened()
        account = np.flatnonzero(opened[: world.size] < world.calendar.end_ms)
        agrees = rng.random(world.size)[account] < 0.85  # noqa: PLR2004 - an assumption
        self._write(
            "crm.consent_log",
            pa.table(
                {
                    "acct_no": directory.ids.take(pa.array(account)),
                    "purpose_cd": pa.repeat("MKT", len(account)),
                    "medium": pa.repeat("all", len(account)),
                    "granted": named(["N", "Y"], agrees.astype(np.int32)),
                    "logged_at": moments(world.calendar.to_utc(opened[account])),
                }
            ),
        )

    def _write_items(self) -> None:
        catalogue = self._world.parameters.catalogue
        assert catalogue is not None  # noqa: S101 - the caller looked
        categories = list(catalogue.categories)
        place = np.arange(catalogue.size) * 7 % len(categories)
        self._write(
            "oms.item_master",
            pa.table(
                {
                    "sku": numbered("P", np.arange(catalogue.size), width=5),
                    "item_nm": join(named(categories, place), " ", numbered("no. ", np.arange(catalogue.size))),
                    "cat_nm": named(categories, place),
                    "dept_nm": named(list(catalogue.categories.values()), place),
                    "brand_nm": numbered("brand ", np.arange(catalogue.size) % 23),
                    "list_prc": product_prices(self._world).astype(np.float64),
                }
            ),
        )

    def _write_contracts(self, state: State) -> None:
        """One row per contract period: committed contracts get a new one at every renewal, rolling ones never."""
        world, contracts = self._world, self._world.parameters.contracts
        assert contracts is not None  # noqa: S101 - the caller looked
        last = world.calendar.count
        left_month = _month_of(world, state.left_day)
        committed = world.term > 1
        lived = np.minimum(left_month, last) - world.signed_month
        periods = np.where(committed, np.maximum(-(-lived // np.maximum(world.term, 1)), 1), 1).astype(np.int32)
        periods = np.where(world.signed_month < last, periods, 0)  # who signs later has none yet
        customer, number = repeat(periods), position_within(periods)
        begins = world.signed_month[customer] + number * world.term[customer]
        ends = begins + world.term[customer]
        is_last = number == periods[customer] - 1
        prices = np.array([plan.price for plan in contracts.plans.values()])[world.plan]
        level = np.where(
            begins >= world.parameters.shocks.price_rise.month, 1 + world.parameters.shocks.price_rise.size, 1
        )
        start = world.calendar.day_ms(world.month_starts(begins) + world.day_of_month[customer]) + _OPENS_AT_MS
        renew = world.calendar.day_ms(world.month_starts(np.maximum(ends, begins)) + world.day_of_month[customer])
        gone = is_last & (state.left_day[customer] != STAYS)
        ended = world.calendar.day_ms(np.where(gone, state.left_day[customer], 0))
        words = [contracts.closing_words[cause] for cause in (*CAUSES, "other")]
        cause = np.where(gone, np.where(state.cause[customer] < 0, OTHER, state.cause[customer]), -1)
        to_utc = world.calendar.to_utc
        self._write(
            "bill.contract",
            pa.table(
                {
                    "contract_no": join(numbered("K", customer, width=8), numbered("-", number + 1)),
                    "acct_no": self._directory.ids.take(pa.array(customer)),
                    "plan_cd": named(list(contracts.plans), world.plan[customer]),
                    "start_ts": moments(to_utc(start)),
                    "renew_ts": moments(to_utc(renew), absent=~committed[customer]),
                    "end_ts": moments(to_utc(ended), absent=~gone),
                    "end_reason": named(words, cause),
                    "mrc_amt": np.round(prices[customer] * world.seats[customer] * level, 2),
                    "seat_cnt": world.seats[customer],
                    "auto_renew": pa.repeat("Y", len(customer)),
                    "stat_cd": named(["A", "E", "X"], np.where(gone, 2, np.where(is_last, 0, 1))),
                }
            ),
        )


def _products(index: Indices) -> pa.Array:
    """Return the codes of products; null where the index is negative."""
    codes = numbered("P", np.maximum(index, 0), width=5)
    return pc.if_else(pa.array(index < 0), None, codes)


def device_codes(account: Indices, channel: Indices) -> pa.Array:
    """Return the device under which an account is seen on a channel."""
    return numbered("dv", account.astype(np.int64) * 8 + channel)


def _month_of(world: World, day: Indices) -> Indices:
    """Return the month that holds each day; the month after the last for those who stay."""
    starts = np.array([month.offset for month in world.calendar.months])
    month = np.searchsorted(starts, day, side="right") - 1
    return np.where(day == STAYS, world.calendar.count, month).astype(np.int32)


def _test_account(schema: pa.Schema) -> pa.Table:
    known = {"acct_no": TEST_ACCOUNT, "acct_type": "P", "full_nm": "TEST USER"}
    row = {name: known.get(name) for name in schema.names}
    return pa.Table.from_pylist([row], schema=schema)
