{#
    How far each feed reaches, and where days of it are missing. A feed is one source's rows of a canonical table. A run
    of days without any row is missing data where the feed's own rhythm makes it implausible; a window of a label that
    reaches into missing days, or beyond the end of a feed, says nothing (policy section `coverage`).
#}


{# The tables whose feeds are followed day by day: what happens at a customer's. #}
{% macro followed_tables() -%}
    {%- set found = [] -%}
    {%- for table in ['orders', 'subscriptions', 'tickets', 'invoices', 'deliveries'] + (day_sources().keys() | list)
        if is_connected(table) and table not in found -%}
        {%- do found.append(table) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#
    How many rows of each feed stand on each day of the company's clock. Moments are reduced to minutes first: no clock is
    off by less, and a time zone is asked once a minute and not once a row. What is read by days is not read again; its
    days are those of UTC, which no label depends on.
#}
{% macro rows_by_feed_and_day() -%}
{%- for table in followed_tables() if table not in tables_by_day() or table == 'orders' %}
{%- for schema in feeds_of(table) %}
select
    '{{ table }}' as source_table,
    '{{ schema }}' as feed,
    {{ local_day('minute_at') }} as day_date,
    cast(sum(count_rows) as bigint) as count_rows,
    max(landed_at) as landed_at
from (
    select
        date_trunc('minute', {{ moment_of(table) }}) as minute_at,
        count(*) as count_rows,
        max(_landed_at) as landed_at
    from {{ schema }}.{{ table }}
    where {{ moment_of(table) }} is not null
    group by date_trunc('minute', {{ moment_of(table) }})
) as minutes
group by {{ local_day('minute_at') }}
union all
{%- endfor %}
{%- endfor %}
select
    source_table,
    feed,
    day_date,
    cast(sum(count_rows) as bigint) as count_rows,
    max(landed_at) as landed_at
from {{ ref('batch_days') }}
where source_table <> 'orders' and day_date is not null
group by source_table, feed, day_date
{%- endmacro %}


{# The days on which the company says that it was closed, as day_date: a feed without rows there lacks nothing. #}
{% macro closed_days() -%}
{%- set date = modules.datetime.date -%}
{%- set found = [] -%}
{%- for spell in var('closed') or [] -%}
    {%- set first, last = date.fromisoformat(spell['from']), date.fromisoformat(spell['until']) -%}
    {%- for shift in range((last - first).days + 1) -%}
        {%- do found.append(first + modules.datetime.timedelta(days=shift)) -%}
    {%- endfor -%}
{%- endfor -%}
{%- for day in found | unique %}
select cast('{{ day }}' as date) as day_date
{{ 'union all' if not loop.last }}
{%- else %}
select cast(null as date) as day_date where 1 = 0
{%- endfor -%}
{%- endmacro %}


{# The last day of each feed that the company declares to have ended, as last_date. #}
{% macro ended_feeds() -%}
{%- for feed, last in (var('feeds_ended') or {}).items() %}
select
    '{{ feed.split('.')[1] }}' as source_table,
    '{{ feed.split('.')[0] }}' as feed,
    cast('{{ last }}' as date) as last_date
{{ 'union all' if not loop.last }}
{%- else %}
select
    cast(null as varchar) as source_table,
    cast(null as varchar) as feed,
    cast(null as date) as last_date
where 1 = 0
{%- endfor -%}
{%- endmacro %}


{# How often a weekday, 1 to 7, comes within so many days from a first day on. #}
{% macro weekdays_within(weekday_number, first_day, count_days) -%}
    (
        floor(cast({{ count_days }} - 1 - (({{ weekday_number }} - {{ weekday(first_day) }} + 7) % 7) as double) / 7) + 1
    )
{%- endmacro %}
