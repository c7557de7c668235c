{# One row per batch, source, table, rule and column with what the rule did there, and to how many rows. #}
{% macro rule_counts() -%}
with

landing_repairs as (

    {{ landing_repairs() | indent(4) }}

)

select * from landing_repairs
union all
select
    batch,
    source,
    table_name,
    rule,
    column_name,
    action,
    cast(sum(count_rows) as bigint) as count_rows
from {{ ref('cleaning_days') }}
where rule is not null
group by batch, source, table_name, rule, column_name, action
{%- endmacro %}


{#
    What became of the landed rows of every table, as one row per batch, source, table, day, rule and column: `landed`
    and `staged` rows, and what each cleaning rule removed, repaired or filled. A table that is read by days is counted
    for the days that were touched; of the others, which are small, all rows are counted and `day_date` is empty.
#}
{% macro rows_by_day() -%}
with
{{ counting_relations() }}
nothing as (

    select
        cast(null as varchar) as _batch,
        cast(null as varchar) as _source,
        cast(null as date) as day_date,
        cast(0 as bigint) as count_rows
    where 1 = 0

)

select
    _batch as batch,
    _source as source,
    cast(null as varchar) as table_name,
    day_date,
    cast(null as varchar) as rule,
    cast(null as varchar) as column_name,
    cast(null as varchar) as action,
    count_rows
from nothing
{%- for counted in counted_rules() %}
union all
select
    _batch as batch,
    _source as source,
    '{{ counted.table }}' as table_name,
    day_date,
    cast({% if counted.rule %}'{{ counted.rule }}'{% else %}null{% endif %} as varchar) as rule,
    cast({% if counted.column %}'{{ counted.column }}'{% else %}null{% endif %} as varchar) as column_name,
    '{{ counted.action }}' as action,
    cast(coalesce({{ counted.count }}, 0) as bigint) as count_rows
from {{ counted.from }}
{%- endfor %}
{%- endmacro %}


{# The day of a row by which its table is counted. #}
{% macro counted_day(table) -%}
    {%- set moment = tables_by_day().get(table) -%}
    {{ return('cast(' ~ moment ~ ' as date)' if moment else 'cast(null as date)') }}
{%- endmacro %}


{#
    The days of a table whose rows are counted anew: those that were touched, and those beside them, because a click may
    make one of the next day a repetition.
#}
{% macro changed_cleaning_days(table) -%}
    {{ return(changed_days(table, rules_of_counts(table), around=1)) }}
{%- endmacro %}


{# All that decides how rows are counted: what decides what becomes of them, and how late is late. #}
{% macro rules_of_counts(table) -%}
    {{ return("concat(" ~ rules_of_rows(table) ~ ", ' " ~ cleaning('late_days') ~ "')") }}
{%- endmacro %}


{% macro forget_cleaning_days() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where
        {%- for table in tables_by_day() %}
        (table_name = '{{ table }}' and {{ within('day_date', changed_cleaning_days(table), type='date') | indent(8) }}) or
        {%- endfor %}
        day_date is null or table_name not in ({{ quoted_list(tables_by_day()) }}{{ "''" if not tables_by_day() }})
    {%- endif -%}
{%- endmacro %}


{% macro remember_cleaning_days() -%}
    {%- set rules = {} -%}
    {%- for table in tables_by_day() -%}
        {%- do rules.update({table: rules_of_counts(table)}) -%}
    {%- endfor -%}
    {{ remember_batch_days(rules) }}
{%- endmacro %}


{#
    One counting relation per table and kind of count, each one pass over the rows, as the middle of a `with` clause;
    what they count is read by counted_rules().
#}
{% macro counting_relations() -%}
{%- for table in var('canonical_tables') if is_connected(table) -%}
{%- set by_day = tables_by_day() -%}
{%- set is_counted = within(by_day[table], changed_cleaning_days(table)) if table in by_day else 'true' -%}
{{ table }}_landed as (

    {%- for schema in feeds_of(table) %}
    select
        _batch,
        '{{ source_of(schema) }}' as _source,
        {{ counted_day(table) }} as day_date,
        {%- for column in spelled_columns(table) %}
        count_if(raw.{{ column }} <> {{ spelled(table, column) }}) as spelled_{{ column }},
        {%- endfor %}
        {%- for column in filled_columns(table) %}
        count_if(raw.{{ column }} is null and (select count({{ column }}) from {{ schema }}.{{ table }}) > 0) as filled_{{ column }},
        {%- endfor %}
        count(*) as count_rows
    from {{ schema }}.{{ table }} as raw
    where {{ is_counted | indent(4) }}
    group by _batch, {{ counted_day(table) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

{{ table }}_staged as (

    select
        _batch,
        _source,
        {{ counted_day(table) }} as day_date,
        count(*) as count_rows
    from {{ ref('stg_' ~ table) }}
    where {{ is_counted | indent(4) }}
    group by _batch, _source, {{ counted_day(table) }}

),
{% if rules_that_remove(table) | length > 0 %}
{{ table }}_removed as (

    select
        _batch,
        _source,
        {{ counted_day(table) }} as day_date,
        {%- for rule in rules_that_remove(table) %}
        count_if(removed_by = '{{ rule }}') as {{ rule }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {{ classified_rows(table) | indent(8) }}
    ) as classified
    where {{ is_counted | indent(4) }}
    group by _batch, _source, {{ counted_day(table) }}

),
{% endif -%}
{%- if table in cleaning('late_tables') %}
{{ table }}_late as (

    {%- for schema in feeds_of(table) %}
    {{ late_rows(table, schema, is_counted) | indent(4) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),
{% endif -%}
{%- endfor -%}
{%- endmacro %}


{# What the counting relations hold, as one list of relation, column that counts, and what is told about it. #}
{% macro counted_rules() -%}
    {%- set rules = [] -%}
    {%- for table in var('canonical_tables') if is_connected(table) -%}
        {%- for action in ['landed', 'staged'] -%}
            {%- do rules.append({'table': table, 'from': table ~ '_' ~ action, 'count': 'count_rows', 'rule': none, 'column': none, 'action': action}) -%}
        {%- endfor -%}
        {%- for rule in rules_that_remove(table) -%}
            {%- do rules.append({'table': table, 'from': table ~ '_removed', 'count': rule, 'rule': rule, 'column': none, 'action': 'removed'}) -%}
        {%- endfor -%}
        {%- for column in spelled_columns(table) -%}
            {%- do rules.append({'table': table, 'from': table ~ '_landed', 'count': 'spelled_' ~ column, 'rule': 'vocabulary', 'column': column, 'action': 'repaired'}) -%}
        {%- endfor -%}
        {%- for column in filled_columns(table) -%}
            {%- do rules.append({'table': table, 'from': table ~ '_landed', 'count': 'filled_' ~ column, 'rule': 'missing_value', 'column': column, 'action': 'filled'}) -%}
        {%- endfor -%}
        {%- for rule in ['late_row', 'very_late_row'] if table in cleaning('late_tables') -%}
            {%- do rules.append({'table': table, 'from': table ~ '_late', 'count': rule, 'rule': rule, 'column': none, 'action': 'repaired'}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(rules) }}
{%- endmacro %}


{# The rules that may take a row of a table out, those that compare rows last. #}
{% macro rules_that_remove(table) -%}
    {%- set rules = removals(table) | map(attribute='rule') | list -%}
    {%- if compares_rows(table) -%}
        {%- do rules.append(rule_of_duplicates(table)) -%}
    {%- endif -%}
    {{ return(rules) }}
{%- endmacro %}


{#
    Rows that happened before what an earlier batch had brought already: up to the allowed days late, or later still.
    Either way they stand on the day on which they happened.
#}
{% macro late_rows(table, schema, is_counted) -%}
{%- set moment = moment_of(table) -%}
select
    raw._batch,
    '{{ source_of(schema) }}' as _source,
    {{ counted_day(table) }} as day_date,
    count_if(
        raw.{{ moment }} < batches.known_until
        and {{ days_between('raw.' ~ moment, 'batches.known_until') }} <= {{ cleaning('late_days') }}
    ) as late_row,
    count_if({{ days_between('raw.' ~ moment, 'batches.known_until') }} > {{ cleaning('late_days') }}) as very_late_row
from {{ schema }}.{{ table }} as raw
inner join (
    select
        batch,
        max(known_until) as known_until
    from {{ ref('batch_days') }}
    where
        source_table = '{{ table }}'
        and feed = '{{ schema }}'
    group by batch
) as batches
    on raw._batch = batches.batch
where {{ is_counted }}
group by raw._batch, {{ counted_day(table) }}
{%- endmacro %}


{# The newest landing of every source and table. #}
{% macro latest_batches() -%}
{%- set landings = adapter.get_relation(target.database, 'ingestion', 'landings') if execute else none -%}
{%- if landings is none -%}
select
    cast(null as varchar) as source,
    cast(null as varchar) as table_name,
    cast(null as varchar) as batch
where 1 = 0
{%- else -%}
select
    source,
    table_name,
    max_by(batch, landed_at) as batch
from {{ landings }}
group by source, table_name
{%- endif -%}
{%- endmacro %}


{# What was repaired while rows landed: moments written in other ways, impossible days of birth. #}
{% macro landing_repairs() -%}
{%- set repairs = adapter.get_relation(target.database, 'ingestion', 'repairs') if execute else none -%}
select
    {%- for name, type in [
        ('batch', 'varchar'), ('source', 'varchar'), ('table_name', 'varchar'), ('rule', 'varchar'),
        ('column_name', 'varchar')
    ] %}
    cast({{ name if repairs is not none else 'null' }} as {{ type }}) as {{ name }},
    {%- endfor %}
    'repaired' as action,
    {%- if repairs is not none %}
    cast(sum(count_rows) as bigint) as count_rows
from {{ repairs }}
group by batch, source, table_name, rule, column_name
    {%- else %}
    cast(null as bigint) as count_rows
where 1 = 0
    {%- endif -%}
{%- endmacro %}
