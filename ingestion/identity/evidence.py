"""Evidence from tokens alone: which two records hold the same id or contact, and which deserve a closer look."""

import duckdb

from ingestion.identity.records import CLAIMS, PROFILE, RECORDS, pairs_of_keys
from ingestion.identity.rules import Rules

SHARED, CANDIDATES, LINKS = "temp.identity_shared", "temp.identity_candidates", "temp.identity_evidence"
_KIND_IN_WORDS = (
    "case kind when 'email' then 'e-mail address' when 'phone' then 'telephone number' when 'device' then 'device' "
    "else kind end"
)
_SAME_IN_WORDS = {
    "name": "name",
    "birth_date": "birth date",
    "address": "address",
    "phone": "telephone number",
    "email": "e-mail address",
}


def find(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Make the temporary tables of links that tokens prove and of pairs that names and addresses must decide.

    Links hold left_id < right_id, rule, evidence in words, probability. Candidates hold the pair and `likeness`, a
    digest of all that the comparison depends on.
    """
    _find_shared(connection, most=rules.most_owners)
    _find_candidates(connection, rules)
    connection.execute(
        f"""
        create or replace temp table identity_evidence as
        {_proofs(rules)} union all {_sole(rules)} union all {_profiles(rules)}
        """
    )
    connection.execute(
        f"""
        create or replace temp table identity_candidates as
        from {CANDIDATES} c anti join {LINKS} e
        on c.left_id = e.left_id and c.right_id = e.right_id and e.rule in ('profile', 'proof')
        """
    )


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables."""
    for table in (SHARED, CANDIDATES, LINKS):
        connection.execute(f"drop table if exists {table}")


def count_ignored(connection: duckdb.DuckDBPyConnection, rules: Rules) -> int:
    """Return how many ids and contacts so many records hold that they are nobody's."""
    query = f"""select count(*) from (
        select kind, token from {CLAIMS} group by all having count(*) > {rules.most_owners})"""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _find_shared(connection: duckdb.DuckDBPyConnection, *, most: int) -> None:
    """One row per two records and id or contact that both hold."""
    connection.execute(
        f"""
        create or replace temp table identity_shared as
        with held as (
            from {CLAIMS} semi join (
                select kind, token from {CLAIMS} group by all having count(*) between 2 and {most}
            ) using (kind, token)
        ), owned as (
            select h.*, r.is_profiled,
                count(*) filter (r.is_profiled) over (partition by h.kind, h.token) as count_profiled
            from held h join {RECORDS} r using (customer_id)
        )
        select l.customer_id as left_id, r.customer_id as right_id, l.kind, l.token,
            l.is_verified and r.is_verified as is_proved, l.is_profiled as left_profiled,
            r.is_profiled as right_profiled, l.count_profiled,
            array_to_string(list_sort(list_distinct(list_concat(l.sources, r.sources))), ', ') as sources
        from owned l join owned r on l.kind = r.kind and l.token = r.token and l.customer_id < r.customer_id
        """
    )


def _find_candidates(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """One row per two profiles that agree in two things at least and contradict each other in none."""
    agreeing = " union ".join(
        f"""
        select l.customer_id as left_id, r.customer_id as right_id from {RECORDS} l join {RECORDS} r
        on l.{one} = r.{one} and l.{two} = r.{two} and l.customer_id < r.customer_id
        where l.is_profiled and r.is_profiled and (l.{one}, l.{two}) in (
            select ({one}, {two}) from {RECORDS} where is_profiled and {one} is not null and {two} is not null
            group by {one}, {two} having count(*) between 2 and {rules.most_owners})
        """
        for one, two in pairs_of_keys()
    )
    both = f"""select left_id, right_id from {SHARED} s
        join {RECORDS} l on l.customer_id = left_id join {RECORDS} r on r.customer_id = right_id
        where left_profiled and right_profiled and s.kind not in ('email', 'phone')
        and ({" or ".join(f"l.{name} = r.{name}" for name in PROFILE)})"""
    same = ", ".join(f"coalesce({_same(name)}, false) as same_{name}" for name in PROFILE)
    told = [f"{side}.{name}" for side in ("l", "r") for name in ("source", "kind", *PROFILE)]
    tokens = ", '-', ".join([f"'{rules.digest}'", "coalesce(ids, [])::varchar", *told])
    connection.execute(
        f"""
        create or replace temp table identity_candidates as
        with pairs as (select distinct * from ({agreeing} union {both})), ids as (
            select left_id, right_id, list(token order by token) as ids from {SHARED}
            where kind not in ('email', 'phone') group by all
        )
        select p.left_id, p.right_id, {same}, coalesce(ids, []) as ids,
            md5(concat_ws('|', {tokens})) as likeness
        from pairs p join {RECORDS} l on l.customer_id = p.left_id join {RECORDS} r on r.customer_id = p.right_id
        left join ids using (left_id, right_id)
        where (l.birth_date <> r.birth_date) is not true and (l.kind <> r.kind) is not true
        """
    )


def _same(name: str) -> str:
    return f"l.{name} = r.{name}" + (" and not l.is_common_date" if name == "birth_date" else "")


def _proofs(rules: Rules) -> str:
    """Two records that both proved to own the same id; for a telephone number a second agreement is asked."""
    said = rules.probability
    agrees = f"""exists (from {RECORDS} l, {RECORDS} r where l.customer_id = left_id and r.customer_id = right_id
        and (l.name = r.name or l.birth_date = r.birth_date))"""
    return f"""
        select left_id, right_id, 'proof' as rule,
            'both proved to own the same ' || {_KIND_IN_WORDS} || ' (' || sources || ')' as evidence,
            case kind when 'phone' then {said.proof_phone} else {said.proof} end::double as probability
        from {SHARED} where is_proved and kind <> 'device' and (kind <> 'phone' or {agrees})
        """


def _sole(rules: Rules) -> str:
    """A record without a profile holds what exactly one customer holds, or what no customer does."""
    said = rules.probability
    return f"""
        select left_id, right_id, 'sole_owner' as rule,
            'holds the ' || {_KIND_IN_WORDS} || ' of the only customer who has it (' || sources || ')' as evidence,
            {said.sole_owner}::double as probability
        from {SHARED} where left_profiled <> right_profiled and count_profiled = 1
        union all
        select left_id, right_id, 'sole_contact' as rule,
            'two records without a profile hold the same ' || {_KIND_IN_WORDS} || ' (' || sources || ')' as evidence,
            {said.sole_contact}::double as probability
        from {SHARED} where count_profiled = 0 and kind not in ('phone', 'device')
        """


def _profiles(rules: Rules) -> str:
    """Two profiles with the same name and two more agreements."""
    others = [name for name in PROFILE if name != "name"]
    count = " + ".join([*(f"same_{name}::int" for name in others), "(len(ids) > 0)::int"])
    words = ", ".join(f"case when same_{name} then '{_SAME_IN_WORDS[name]}' end" for name in PROFILE)
    return f"""
        select left_id, right_id, 'profile' as rule,
            'the same ' || concat_ws(', ', {words}, case when len(ids) > 0 then 'device or id' end) as evidence,
            {rules.probability.profile}::double as probability
        from {CANDIDATES} where same_name and {count} >= 2
        """
