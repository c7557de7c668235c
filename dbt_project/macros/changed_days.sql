{#
    Which days of the raw tables a run must read again. Landing never writes over a row: a row of a known key takes the
    place of the old one under a later landing. So a day whose rows stand under the same landings, each with as many as
    before, is the day it was, and a table that keeps figures per day counts the others anew. Each such table notes in
    batch_days_read, in the transaction that writes its days, what it has read.
#}


{# The tables that are read by days: those of the day tables that the company connects, each with its moment. #}
{% macro tables_by_day() -%}
    {%- set found = {} -%}
    {%- for name, source in day_sources().items() if is_connected(name) -%}
        {%- do found.update({name: source.moment}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# How many rows of each batch stand on each day, in the tables that are read by days. #}
{% macro rows_by_batch_and_day() -%}
{%- for table, moment in tables_by_day().items() -%}
{%- set is_last = loop.last -%}
{%- for schema in feeds_of(table) %}
select
    '{{ table }}' as source_table,
    '{{ schema }}' as feed,
    _batch as batch,
    cast({{ moment }} as date) as day_date,
    count(*) as count_rows,
    max(_landed_at) as landed_at,
    max({{ moment }}) as newest_at
from {{ schema }}.{{ table }}
group by _batch, cast({{ moment }} as date)
{{ 'union all' if not (is_last and loop.last) }}
{%- endfor -%}
{%- else %}
select
    cast(null as varchar) as source_table,
    cast(null as varchar) as feed,
    cast(null as varchar) as batch,
    cast(null as date) as day_date,
    cast(null as bigint) as count_rows,
    cast(null as timestamp) as landed_at,
    cast(null as timestamp) as newest_at
where 1 = 0
{%- endfor -%}
{%- endmacro %}


{#
    The days (UTC) of a table that the calling model must read again, with so many days around each, in order; none
    while all are to be read. `rules` is an SQL expression that changes
    with all that decides what becomes of a row. Where rows of one key in several feeds compete, a row may take the place
    of one on a day far away, so that a touched table is read as a whole.
#}
{% macro changed_days(table, rules, around=0) -%}
    {%- set landed_days, days_read = ref('batch_days'), ref('batch_days_read') -%}
    {%- if not execute or not is_incremental() -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set asked -%}
        select distinct cast(coalesce(landed.day_date, been.day_date) as varchar) as day_date
        from (
            select *, {{ rules }} as rules from {{ landed_days }} where source_table = '{{ table }}'
        ) as landed
        full join (
            select * from {{ days_read }}
            where reader = '{{ this.identifier }}' and source_table = '{{ table }}'
        ) as been
            on
                landed.feed = been.feed
                and landed.batch = been.batch
                and landed.day_date = been.day_date
        where
            landed.batch is null
            or been.batch is null
            or landed.count_rows <> been.count_rows
            or landed.landed_at <> been.landed_at
            or landed.known_until is distinct from been.known_until
            or landed.rules <> been.rules
    {%- endset -%}
    {%- set days = [] -%}
    {%- for day in run_query(asked).columns[0].values() -%}
        {%- do days.append(modules.datetime.date.fromisoformat(day)) -%}
    {%- endfor -%}
    {%- if days and (has_credit_notes(table) or (compares_rows(table) and tables_by_day()[table] not in var('canonical_tables')[table].key)) -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(with_neighbours(days, around=around)) }}
{%- endmacro %}


{# Days, and so many days around each, in order. #}
{% macro with_neighbours(days, around=1) -%}
    {%- set found = [] -%}
    {%- for day in days -%}
        {%- for shift in range(-around, around + 1) -%}
            {%- do found.append(day + modules.datetime.timedelta(days=shift)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found | unique | sort) }}
{%- endmacro %}


{#
    Whether a moment, or a day, lies within days as changed_days() gives them. The days are told as spells, the outermost
    bounds first, so that the engine need not look at the blocks of other rows.
#}
{% macro within(column, days, type='timestamp') -%}
    {%- if days is none -%}
    true
    {%- elif days | length == 0 -%}
    false
    {%- else -%}
    {%- set one = modules.datetime.timedelta(days=1) -%}
    {%- set spells = [] -%}
    {%- for day in days -%}
        {%- if spells and spells[-1].until == day -%}
            {%- do spells[-1].update({'until': day + one}) -%}
        {%- else -%}
            {%- do spells.append({'from': day, 'until': day + one}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ column }} >= cast('{{ spells[0].from }}' as {{ type }})
    and {{ column }} < cast('{{ spells[-1].until }}' as {{ type }})
    {%- if spells | length > 1 %}
    and (
        {%- for spell in spells %}
        {{ 'or ' if not loop.first }}({{ column }} >= cast('{{ spell.from }}' as {{ type }}) and {{ column }} < cast('{{ spell.until }}' as {{ type }}))
        {%- endfor %}
    )
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{# After a table that counts by days is written, in the same transaction: what it has read of each of its tables. #}
{% macro remember_batch_days(rules_by_table) -%}
    {%- if builds_by_days() -%}
    delete from {{ ref('batch_days_read') }} where reader = '{{ this.identifier }}';
    {%- for table, rules in rules_by_table.items() %}
    insert into {{ ref('batch_days_read') }}
    select
        '{{ this.identifier }}' as reader,
        source_table,
        feed,
        batch,
        day_date,
        count_rows,
        landed_at,
        known_until,
        {{ rules }} as rules
    from {{ ref('batch_days') }}
    where source_table = '{{ table }}';
    {%- endfor %}
    {%- endif -%}
{%- endmacro %}


{#
    All that decides what staging makes of a landed row besides the row, as an SQL expression: the rules, the words and
    the clock as they are written out, and the content of the small relations that are looked into.
#}
{% macro rules_of_rows(table) -%}
    {%- set staging = graph.nodes.get('model.holdfast.stg_' ~ table) if execute -%}
    {%- set written = [cleaned_rows(table), local_day('moment'), rules_of_clicks(), staging.checksum.checksum if staging] -%}
    {%- do written.append(returns('negative_amounts') ~ ' ' ~ returns('refunded_status')) -%}
    {%- set looked_into = [] -%}
    {%- if var('identity') -%}
        {%- do looked_into.append(
            content_of(['source', 'customer_id', 'canonical_id'])
            ~ ' from identity.members where canonical_id <> customer_id'
        ) -%}
    {%- endif -%}
    {%- for schema in feeds_of('customers') -%}
        {%- do looked_into.append(content_of(['customer_id']) ~ ' from ' ~ schema ~ '.customers where is_test') -%}
    {%- endfor -%}
    {%- for schema in feeds_of(table) -%}
        {%- for column in filled_columns(table) -%}
            {%- do looked_into.append('count(' ~ column ~ ') > 0 from ' ~ schema ~ '.' ~ table) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(mark_of(written, looked_into)) }}
{%- endmacro %}


{# The same for the days of a table: who stands for whom, and what the products are, is looked into as well. #}
{% macro rules_of_days(table) -%}
    {%- set looked_into = [content_of(['customer_id', 'account_id']) ~ ' from ' ~ ref('int_contacts')] -%}
    {%- if table == 'order_lines' -%}
        {%- do looked_into.append(
            content_of(['product_id', 'department', 'category', 'brand']) ~ ' from ' ~ ref('stg_products')
        ) -%}
    {%- endif -%}
    {{ return('concat(' ~ rules_of_rows(table) ~ ', ' ~ mark_of([rows_of(table)], looked_into) ~ ')') }}
{%- endmacro %}


{# An SQL expression that changes with any of some texts and with the one value that any of some queries gives. #}
{% macro mark_of(written, queries) -%}
    {%- set parts = ["'" ~ local_md5(written | join(' ')) ~ "'"] -%}
    {%- for query in queries -%}
        {%- do parts.append("coalesce(cast((select " ~ query ~ ") as varchar), '')") -%}
    {%- endfor -%}
    {{ return("concat(" ~ (parts | join(", ' ', ")) ~ ")") }}
{%- endmacro %}


{# What makes one click the repetition of another. #}
{% macro rules_of_clicks() -%}
    {{ return(feeds_of('events') | string ~ ' ' ~ alike() ~ ' ' ~ same_click_until('moment')) }}
{%- endmacro %}
