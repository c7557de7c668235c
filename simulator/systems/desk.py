"""The service desk's records: tickets, its own list of users, and survey answers; `simulator.desk` serves them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.behaviour.presence import Columns
from simulator.behaviour.service import FORMS, NEVER
from simulator.calendar import DAY_MS, Month
from simulator.defects import MERGE, QUARANTINE, REPAIR, Change, Ledger, chosen, misspell_codes
from simulator.streams import Flags, Indices, Integers, generator
from simulator.systems.directory import Directory
from simulator.systems.sheets import Sheet, join, moments, named, numbered, replace_at
from simulator.systems.texts import LANGUAGES, Phrasebook
from simulator.world import World

RESOURCES = ("tickets", "surveys", "users")
_KIND = ("question", "problem")
_FIRST_USER = 500_000
_ABSURD_STARS = 9


class DeskRecords:
    """Writes what the desk knows into `folder`, one parquet file per resource, ordered by `updated_at`."""

    def __init__(self, folder: Path, world: World, directory: Directory, ledger: Ledger) -> None:
        """Prepare; some users are not linked to their account."""
        self.folder, self._world, self._directory, self._ledger = folder, world, directory, ledger
        rng = generator(world.seed, "desk users")
        self._unlinked: Flags = rng.random(len(directory.owner)) < world.parameters.defects["unlinked_user"]
        self._phrases = Phrasebook(world.parameters)
        self._sheets = {name: Sheet(folder / f"{name}.part.parquet") for name in ("tickets", "surveys")}
        self._seen = np.zeros(len(directory.owner), dtype=np.bool_)
        self._count = 0

    def write_month(self, month: Month, tickets: Columns, opinions: Columns) -> None:
        """Append one month of tickets and answers."""
        rng = generator(self._world.seed, "desk", month.index)
        self._write_tickets(rng, tickets)
        self._write_opinions(rng, month, opinions)

    def _accounts(self, rng: np.random.Generator, customer: Indices, at: Integers) -> Indices:
        account = self._directory.account_at(rng, customer, (at - self._world.calendar.origin_ms) // DAY_MS)
        self._seen[account] = True
        return account

    def _references(self, account: Indices) -> pa.Array:
        return self._directory.ids.take(pa.array(account, mask=self._unlinked[account]))

    def _moments(self, local_ms: Integers) -> pa.Array:
        """Return UTC moments; what had not happened by the world's end is not known."""
        absent = local_ms >= self._world.calendar.end_ms
        return moments(self._world.calendar.to_utc(np.where(absent, 0, local_ms)), absent=absent)

    def _write_tickets(self, rng: np.random.Generator, tickets: Columns) -> None:
        world, count = self._world, len(tickets["customer"])
        account = self._accounts(rng, tickets["customer"], tickets["opened"])
        codes = numbered("", self._count + 1 + np.arange(count))
        self._count += count
        happened = np.stack(
            [tickets["opened"], tickets["answered"], np.where(tickets["solved"] == NEVER, 0, tickets["solved"])]
        )
        updated = np.where(happened < world.calendar.end_ms, happened, 0).max(axis=0)
        solved = tickets["solved"] < world.calendar.end_ms
        stars = self._spoil_stars(rng, codes, np.where(solved, tickets["rating"], np.nan))
        names = list(world.parameters.service.channels)
        via, hit = misspell_codes(rng, named(names, tickets["channel"]), world.parameters.defects["enum_variant"])
        picked = pa.array(hit)
        self._ledger.declare(
            "enum_variant",
            "desk.tickets",
            codes.take(picked),
            remedy=REPAIR,
            change=Change(column="via", clean=named(names, tickets["channel"]).take(picked), dirty=via.take(picked)),
        )
        english = world.speaks_english[tickets["customer"]]
        self._sheets["tickets"].add(
            pa.table(
                {
                    "id": codes,
                    "requester_id": numbered("", _FIRST_USER + account.astype(np.int64)),
                    "requester_ref": self._references(account),
                    "created_at": self._moments(tickets["opened"]),
                    "first_reply_at": self._moments(tickets["answered"]),
                    "solved_at": self._moments(tickets["solved"]),
                    "updated_at": self._moments(updated),
                    "case_type": named(_KIND, tickets["is_complaint"].astype(np.int32)),
                    "topic_tag": named(list(world.parameters.service.topics), tickets["topic"]),
                    "via": via,
                    "priority": named(
                        ["normal", "high"], (tickets["is_complaint"] & (tickets["topic"] % 2 == 0)).astype(int)
                    ),
                    "description": self._bodies(tickets, account, english),
                    "lang": named(LANGUAGES, english.astype(np.int32)),
                    "csat": stars,
                    "state": named(["open", "solved"], solved.astype(np.int32)),
                }
            )
        )

    def _bodies(self, tickets: Columns, account: Indices, english: Flags) -> pa.Array:
        texts = self._phrases.tickets(
            tickets["topic"], complaint=tickets["is_complaint"], english=english, draw=tickets["text"]
        )
        where = np.flatnonzero(tickets["tells_phone"])
        phones = pc.fill_null(self._directory.phones.take(pa.array(account[where])), "")
        return replace_at(texts, where, join(texts.take(pa.array(where)), " ☎ ", phones))

    def _spoil_stars(self, rng: np.random.Generator, codes: pa.Array, rating: np.ndarray) -> pa.Array:
        rated = np.flatnonzero(np.isfinite(rating))
        hit = rated[chosen(rng, len(rated), self._world.parameters.defects["impossible_rating"])]
        spoilt = rating.copy()
        spoilt[hit] = _ABSURD_STARS
        self._ledger.declare(
            "impossible_value",
            "desk.tickets",
            codes.take(pa.array(hit)),
            remedy=QUARANTINE,
            change=Change(
                column="csat", clean=pa.array(rating[hit].astype(np.int32)), dirty=pa.repeat(_ABSURD_STARS, len(hit))
            ),
        )
        whole = np.where(np.isfinite(spoilt), spoilt, 0).astype(np.int32)
        return pa.array(whole, mask=~np.isfinite(spoilt))

    def _write_opinions(self, rng: np.random.Generator, month: Month, opinions: Columns) -> None:
        account = self._accounts(rng, opinions["customer"], opinions["given"])
        english = self._world.speaks_english[opinions["customer"]]
        texts = self._phrases.opinions(pleased=opinions["is_pleased"], english=english, draw=opinions["text"])
        given = self._moments(opinions["given"])
        self._sheets["surveys"].add(
            pa.table(
                {
                    "id": numbered(f"n{month.index:02d}", np.arange(len(account)), width=7),
                    "requester_id": numbered("", _FIRST_USER + account.astype(np.int64)),
                    "requester_ref": self._references(account),
                    "submitted_at": given,
                    "updated_at": given,
                    "form": named(FORMS, opinions["form"]),
                    "score": opinions["score"],
                    "comment": pc.if_else(pa.array(opinions["writes"]), texts, None),
                    "lang": named(LANGUAGES, english.astype(np.int32)),
                }
            )
        )

    def close(self) -> None:
        """Write the users and put every resource in order."""
        for name, sheet in self._sheets.items():
            sheet.close()
            rows = pq.read_table(sheet.path)
            sheet.path.unlink()
            pq.write_table(
                rows.sort_by([("updated_at", "ascending"), ("id", "ascending")]), self.folder / f"{name}.parquet"
            )
        pq.write_table(self._users(), self.folder / "users.parquet")

    def _users(self) -> pa.Table:
        directory = self._directory
        account = np.flatnonzero(self._seen)
        chosen_rows = pa.array(account)
        unlinked = np.flatnonzero(self._seen & self._unlinked)
        keys, truth = numbered("", _FIRST_USER + unlinked), directory.ids.take(pa.array(unlinked))
        self._ledger.declare(
            "unlinked_user", "desk.users", keys, remedy=MERGE, change=Change(column="ref", clean=truth)
        )
        since = self._world.calendar.to_utc(np.full(len(account), self._world.calendar.origin_ms))
        return pa.table(
            {
                "id": numbered("", _FIRST_USER + account),
                "ref": self._references(account),
                "full_name": directory.names.take(chosen_rows),
                "email": directory.emails.take(chosen_rows),
                "phone": directory.phones.take(chosen_rows),
                "updated_at": moments(since),
            }
        )
