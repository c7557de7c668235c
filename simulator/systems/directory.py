"""Who is who in the customer system: accounts, people's names and addresses, second accounts, shared telephones."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.parameters import People, load_people
from simulator.streams import Flags, Indices, Integers, generator
from simulator.systems.sheets import join, named, numbered, replace_at, written
from simulator.world import World

TEST_ACCOUNT = "QA000001"
_PHONES = 1_000_000_000
_STRIDE = 733_333_357
_FIRST_PHONE = 13_000_000_000
_SHARE_UNDER_SECOND = 0.4
_DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Accounts of the customer system: the world's customers first, then second accounts, then contact persons.

    `owner` is the customer behind every account (for a contact person its company); `second` is each customer's second
    account or -1, opened on `second_day`.
    """

    ids: pa.Array
    owner: Indices
    second: Indices
    second_day: Indices
    count_second: int
    count_contacts: int
    names: pa.Array
    emails: pa.Array
    phones: pa.Array
    addresses: pa.Array
    birth_dates: pa.Array
    is_male: Flags

    def account_at(self, rng: np.random.Generator, customer: Indices, day: Integers) -> Indices:
        """Return the account under which each customer acted on `day`: since a second one exists, often that one."""
        second = self.second[customer]
        uses = (second >= 0) & (day >= self.second_day[customer]) & (rng.random(len(customer)) < _SHARE_UNDER_SECOND)
        return np.where(uses, second, customer).astype(np.int32)


def create_directory(world: World) -> Directory:
    """Give everyone a name, an address, an e-mail and a telephone; some open a second account with typing errors."""
    rng, people = generator(world.seed, "directory"), load_people()
    second_of = _second_owners(rng, world)
    contact_of = _contact_owners(rng, world)
    owner = np.concatenate([np.arange(world.size, dtype=np.int32), second_of, contact_of])
    second = np.full(world.size, -1, dtype=np.int32)
    second[second_of] = world.size + np.arange(len(second_of))
    total, seconds = len(owner), slice(world.size, world.size + len(second_of))
    company = np.concatenate([world.is_company, np.zeros(total - world.size, dtype=np.bool_)])
    family, given = _family(rng, world, total), rng.integers(0, len(people.given), total)
    family[seconds], given[seconds] = family[second_of], given[second_of]
    names, spelled = _names(rng, people, family, given, company)
    phone = _phones(world, total)
    phone[seconds] = phone[second_of]
    emails = join(spelled, numbered("", np.arange(total) * 7 % 9973), "@", _domains(rng, people, total))
    birth = _births(rng, total)
    birth[seconds] = birth[second_of]
    addresses = _addresses(world, people, owner)
    directory = Directory(
        ids=_ids(world, len(second_of), len(contact_of)),
        owner=owner,
        second=second,
        second_day=rng.integers(0, world.calendar.lasts_days, world.size, dtype=np.int32),
        count_second=len(second_of),
        count_contacts=len(contact_of),
        names=names,
        emails=emails,
        phones=pc.cast(pa.array(phone), pa.string()),
        addresses=addresses,
        birth_dates=written(birth).cast(pa.string()),
        is_male=rng.random(total) < 0.5,  # noqa: PLR2004 - even odds
    )
    return _with_typos(rng, directory, world.size)


def _second_owners(rng: np.random.Generator, world: World) -> Indices:
    share = world.parameters.defects["duplicate_identity"]
    return np.flatnonzero(~world.is_company & (rng.random(world.size) < share)).astype(np.int32)


def _contact_owners(rng: np.random.Generator, world: World) -> Indices:
    counts = rng.poisson(world.parameters.population.contacts_per_company, world.size) * world.is_company
    return np.repeat(np.arange(world.size, dtype=np.int32), counts)


def _ids(world: World, seconds: int, contacts: int) -> pa.Array:
    prefix = world.parameters.prefix
    accounts = numbered(prefix, np.arange(world.size + seconds), width=8)
    return pa.concat_arrays([accounts, numbered(f"{prefix}P", np.arange(contacts), width=8)])


def _family(rng: np.random.Generator, world: World, total: int) -> Indices:
    """Draw family names, the frequent ones more often; a shared home mostly shares the name."""
    names = np.minimum(rng.exponential(6.0, total).astype(np.int32), 19)
    first = np.flatnonzero(world.in_household)[::2]
    same = first[rng.random(len(first)) < 0.7]  # noqa: PLR2004 - an assumption
    names[same + 1] = names[same]
    return names


def _names(
    rng: np.random.Generator, people: People, family: Indices, given: Integers, company: Flags
) -> tuple[pa.Array, pa.Array]:
    """Return names as written and as they begin an e-mail address."""
    zh = join(named([item.zh for item in people.surnames], family), named([item.zh for item in people.given], given))
    en = join(
        named([item.en for item in people.given], given), " ", named([item.en for item in people.surnames], family)
    )
    person = pc.if_else(pa.array(rng.random(len(family)) < 0.75), zh, en)  # noqa: PLR2004 - an assumption
    trade = rng.integers(0, len(people.trades), len(family))
    number = numbered("", np.arange(len(family)) % 997)
    firm = join(
        named([item.en for item in people.surnames], family),
        " ",
        named([t.en for t in people.trades], trade),
        " ",
        number,
    )
    begins = join(
        named([item.en.lower() for item in people.given], given),
        ".",
        named([p.en.lower() for p in people.surnames], family),
    )
    return pc.if_else(pa.array(company), firm, person), begins


def _phones(world: World, total: int) -> Integers:
    """Return telephone numbers, different for every account but the two of a household."""
    phone = _FIRST_PHONE + np.arange(1, total + 1, dtype=np.int64) * _STRIDE % _PHONES
    first = np.flatnonzero(world.in_household)[::2]
    phone[first + 1] = phone[first]
    return phone


def _domains(rng: np.random.Generator, people: People, total: int) -> pa.Array:
    return named(people.domains, rng.integers(0, len(people.domains), total))


def _births(rng: np.random.Generator, total: int) -> Integers:
    years = np.clip(42 + 14 * rng.standard_normal(total), 18, 90)
    return ((2025 - 1970 - years) * 365.25).astype(np.int64) * _DAY_MS


def _addresses(world: World, people: People, owner: Indices) -> pa.Array:
    home = np.where(world.in_household, np.arange(world.size) // 2 * 2, np.arange(world.size))[owner]
    cities = [city for region in world.parameters.regions.values() for city in region.cities]
    starts = np.cumsum([0, *(len(region.cities) for region in world.parameters.regions.values())])[:-1]
    city = (starts[world.region] + world.city)[home]
    street = named(people.streets, home * 31 % len(people.streets))
    return join(
        named(cities, city), street, numbered("", home * 17 % 900 + 1), "号", numbered("", home * 13 % 60 + 1), "室"
    )


def _with_typos(rng: np.random.Generator, directory: Directory, size: int) -> Directory:
    """Spoil what second accounts hold: a letter lost or doubled, a telephone in another format, or none."""
    where = size + np.arange(directory.count_second)
    if not len(where):
        return directory
    name = directory.names.take(pa.array(where))
    lost = pc.utf8_slice_codeunits(name, 0, -1)
    doubled = join(name, pc.utf8_slice_codeunits(name, -1))
    spaced = join(pc.utf8_slice_codeunits(name, 0, 1), " ", pc.utf8_slice_codeunits(name, 1))
    spoilt = _one_of(rng, [name, lost, doubled, spaced])
    phone = directory.phones.take(pa.array(where))
    parts = [pc.utf8_slice_codeunits(phone, start, stop) for start, stop in ((0, 3), (3, 7), (7, 11))]
    formatted = join("+86 ", parts[0], "-", parts[1], "-", parts[2])
    other = _one_of(rng, [phone, formatted, pa.nulls(len(where), pa.string())])
    return Directory(
        **(
            vars(directory)
            | {
                "names": replace_at(directory.names, where, spoilt),
                "phones": replace_at(directory.phones, where, other),
            }
        )
    )


def _one_of(rng: np.random.Generator, options: list[pa.Array]) -> pa.Array:
    choice = rng.integers(0, len(options), len(options[0]))
    return pc.choose(pa.array(choice), *options)
