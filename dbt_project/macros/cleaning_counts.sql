{# One row per batch, source, table, rule and column with what the rule did there, and to how many rows. #}
{% macro rule_counts() -%}
with
{{ counting_relations() }}
landing_repairs as (

    {{ landing_repairs() | indent(4) }}

)

select * from landing_repairs
{%- for counted in counted_rules() %}
union all
select
    _batch as batch,
    _source as source,
    '{{ counted.table }}' as table_name,
    '{{ counted.rule }}' as rule,
    cast({% if counted.column %}'{{ counted.column }}'{% else %}null{% endif %} as varchar) as column_name,
    '{{ counted.action }}' as action,
    cast(coalesce({{ counted.count }}, 0) as bigint) as count_rows
from {{ counted.from }}
{%- endfor %}
{%- endmacro %}


{# How many rows each landing brought, counted in the raw tables. #}
{% macro landed_by_batch() -%}
{%- for table in canonical_tables() if is_fed(table) -%}
{%- set is_last = loop.last -%}
{%- for schema in fed_by(table) %}
select
    _batch as batch,
    '{{ source_of(schema) }}' as source,
    '{{ table }}' as table_name,
    count(*) as count_rows
from {{ schema }}.{{ table }}
group by _batch
{{ 'union all' if not (is_last and loop.last) }}
{%- endfor -%}
{%- else -%}
{{ nothing_by_batch() }}
{%- endfor -%}
{%- endmacro %}


{# How many rows of each landing staging shows. #}
{% macro staged_by_batch() -%}
{%- for table in canonical_tables() if is_fed(table) %}
select
    _batch as batch,
    _source as source,
    '{{ table }}' as table_name,
    count(*) as count_rows
from {{ ref('stg_' ~ table) }}
group by _batch, _source
{{ 'union all' if not loop.last }}
{%- else -%}
{{ nothing_by_batch() }}
{%- endfor -%}
{%- endmacro %}


{% macro nothing_by_batch() -%}
select
    cast(null as varchar) as batch,
    cast(null as varchar) as source,
    cast(null as varchar) as table_name,
    cast(null as bigint) as count_rows
where 1 = 0
{%- endmacro %}


{#
    One counting relation per table and kind of rule, each one pass over the rows, as the middle of a `with` clause; what
    they count is read by counted_rules().
#}
{% macro counting_relations() -%}
{%- for table in canonical_tables() if is_fed(table) -%}
{%- if rules_that_remove(table) | length > 0 %}
{{ table }}_removed as (

    select
        _batch,
        _source,
        {%- for rule in rules_that_remove(table) %}
        count_if(removed_by = '{{ rule }}') as {{ rule }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {{ judged(table) | indent(8) }}
    ) as judged
    group by _batch, _source

),
{% endif -%}
{%- if (spelled_columns(table) + filled_columns(table)) | length > 0 %}
{{ table }}_repaired as (

    {%- for schema in fed_by(table) %}
    select
        _batch,
        '{{ source_of(schema) }}' as _source,
        {%- for column in spelled_columns(table) %}
        count_if(raw.{{ column }} <> {{ spelled(table, column) }}) as spelled_{{ column }},
        {%- endfor %}
        {%- for column in filled_columns(table) %}
        count_if(raw.{{ column }} is null and (select count({{ column }}) from {{ schema }}.{{ table }}) > 0) as filled_{{ column }},
        {%- endfor %}
        count(*) as count_rows
    from {{ schema }}.{{ table }} as raw
    group by _batch
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),
{% endif -%}
{%- if table in cleaning('late_tables') %}
{{ table }}_late as (

    {%- for schema in fed_by(table) %}
    {{ late_rows(table, schema) | indent(4) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),
{% endif -%}
{%- endfor -%}
{%- endmacro %}


{# What the counting relations hold, as one list of relation, column that counts, and what is told about it. #}
{% macro counted_rules() -%}
    {%- set rules = [] -%}
    {%- for table in canonical_tables() if is_fed(table) -%}
        {%- for rule in rules_that_remove(table) -%}
            {%- do rules.append({'table': table, 'from': table ~ '_removed', 'count': rule, 'rule': rule, 'column': none, 'action': 'removed'}) -%}
        {%- endfor -%}
        {%- for column in spelled_columns(table) -%}
            {%- do rules.append({'table': table, 'from': table ~ '_repaired', 'count': 'spelled_' ~ column, 'rule': 'vocabulary', 'column': column, 'action': 'repaired'}) -%}
        {%- endfor -%}
        {%- for column in filled_columns(table) -%}
            {%- do rules.append({'table': table, 'from': table ~ '_repaired', 'count': 'filled_' ~ column, 'rule': 'missing_value', 'column': column, 'action': 'filled'}) -%}
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
        {%- do rules.append(rule_of_twins(table)) -%}
    {%- endif -%}
    {{ return(rules) }}
{%- endmacro %}


{#
    Rows that happened before what an earlier batch had brought already: up to the allowed days late, or later still.
    Either way they stand on the day on which they happened.
#}
{% macro late_rows(table, schema) -%}
{%- set moment = moment_of(table) -%}
select
    raw._batch,
    '{{ source_of(schema) }}' as _source,
    count_if(
        raw.{{ moment }} < batches.known_until
        and {{ days_between('raw.' ~ moment, 'batches.known_until') }} <= {{ cleaning('late_days') }}
    ) as late_row,
    count_if({{ days_between('raw.' ~ moment, 'batches.known_until') }} > {{ cleaning('late_days') }}) as very_late_row
from {{ schema }}.{{ table }} as raw
inner join (
    select
        _batch,
        max(newest) over (
            order by landed_at, _batch rows between unbounded preceding and 1 preceding
        ) as known_until
    from (
        select
            _batch,
            min(_landed_at) as landed_at,
            max({{ moment }}) as newest
        from {{ schema }}.{{ table }}
        group by _batch
    ) as landings
) as batches
    on raw._batch = batches._batch
group by raw._batch
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
