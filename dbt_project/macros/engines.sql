{#
    What engines say differently, and nothing else: `default__` is Spark's way, `duckdb__` DuckDB's. Another engine is
    another branch in this file and a target in profiles.yml.
#}


{# The day on the company's clock of a timestamp kept in UTC. #}
{% macro local_day(moment) -%}
    {{ return(adapter.dispatch('local_day', 'holdfast')(moment)) }}
{%- endmacro %}

{% macro default__local_day(moment) -%}
    cast(from_utc_timestamp({{ moment }}, '{{ var("timezone") }}') as date)
{%- endmacro %}

{% macro duckdb__local_day(moment) -%}
    {#- made from the count of microseconds: timezone('UTC', ..) says the same and takes longer -#}
    cast(timezone('{{ var("timezone") }}', make_timestamptz(epoch_us({{ moment }}))) as date)
{%- endmacro %}


{# Monday 1 to Sunday 7: the engines count weekdays differently. #}
{% macro weekday(day) -%}
    {{ return(adapter.dispatch('weekday', 'holdfast')(day)) }}
{%- endmacro %}

{% macro default__weekday(day) -%}
    (weekday({{ day }}) + 1)
{%- endmacro %}

{% macro duckdb__weekday(day) -%}
    isodow({{ day }})
{%- endmacro %}


{# Every calendar day from the first purchase of anybody to the day before the run, as day_date. #}
{% macro days_of_trade() -%}
    {{ return(adapter.dispatch('days_of_trade', 'holdfast')()) }}
{%- endmacro %}

{% macro default__days_of_trade() -%}
    select explode(sequence(min(order_date), {{ days_before(as_of(), 1) }})) as day_date
    from {{ ref('int_customer_order_days') }}
{%- endmacro %}

{% macro duckdb__days_of_trade() -%}
    select cast(unnest(generate_series(min(order_date), {{ days_before(as_of(), 1) }}, interval 1 day)) as date) as day_date
    from {{ ref('int_customer_order_days') }}
{%- endmacro %}


{# One number for the content of a group of rows, whatever their order: equal rows, equal number. #}
{% macro content_of(columns) -%}
    {{ return(adapter.dispatch('content_of', 'holdfast')(columns)) }}
{%- endmacro %}

{% macro default__content_of(columns) -%}
    cast(sum(cast(xxhash64({{ columns | join(', ') }}) as decimal(38, 0))) as decimal(38, 0))
{%- endmacro %}

{% macro duckdb__content_of(columns) -%}
    cast(sum(hash({{ columns | join(', ') }})) as decimal(38, 0))
{%- endmacro %}


{# Whether a table can be built day by day: without `delete` each is built as a whole, and none notes what it has read. #}
{% macro builds_by_days() -%}
    {{ return(target.type == 'duckdb') }}
{%- endmacro %}


{# Whether all snapshots are one query: Spark divides its rows among workers, and takes longer to plan than to compute. #}
{% macro builds_snapshots_at_once() -%}
    {{ return(target.type == 'spark') }}
{%- endmacro %}


{# How a snapshot replaces its former self: by engine, since not every engine deletes rows. #}
{% macro snapshot_strategy() -%}
    {{ return('insert_overwrite' if target.type == 'spark' else 'delete+insert') }}
{%- endmacro %}


{# The same as statements, for a snapshot given by its day and the query of its rows. #}
{% macro replace_snapshot(relation, day, sql) -%}
    {{ return(adapter.dispatch('replace_snapshot', 'holdfast')(relation, day, sql)) }}
{%- endmacro %}

{% macro default__replace_snapshot(relation, day, sql) -%}
    {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='name') | reject('equalto', 'as_of') -%}
    insert overwrite table {{ relation }} partition (as_of)
    select {{ columns | join(', ') }}, as_of from ({{ on_spark(sql) }}) as snapshot
{%- endmacro %}

{% macro duckdb__replace_snapshot(relation, day, sql) -%}
    {{ forget_snapshot(relation, day) }};
    insert into {{ relation }} by name {{ sql }}
{%- endmacro %}


{# How a snapshot goes. #}
{% macro forget_snapshot(relation, day) -%}
    {{ return(adapter.dispatch('forget_snapshot', 'holdfast')(relation, day)) }}
{%- endmacro %}

{% macro default__forget_snapshot(relation, day) -%}
    alter table {{ relation }} drop if exists partition (as_of = '{{ day }}')
{%- endmacro %}

{% macro duckdb__forget_snapshot(relation, day) -%}
    delete from {{ relation }} where as_of = cast('{{ day }}' as date)
{%- endmacro %}


{# Several rows out of one: a list of mappings of the same column names to expressions, one row each. #}
{% macro unfolded(rows) -%}
    {{ return(adapter.dispatch('unfolded', 'holdfast')(rows)) }}
{%- endmacro %}

{% macro default__unfolded(rows) -%}
    inline(array(
        {%- for row in rows %}
        named_struct({% for name, sql in row.items() %}'{{ name }}', {{ sql }}{{ ', ' if not loop.last }}{% endfor %}){{ ',' if not loop.last }}
        {%- endfor %}
    ))
{%- endmacro %}

{% macro duckdb__unfolded(rows) -%}
    unnest([
        {%- for row in rows %}
        {{ '{' }}{% for name, sql in row.items() %}'{{ name }}': {{ sql }}{{ ', ' if not loop.last }}{% endfor %}{{ '}' }}{{ ',' if not loop.last }}
        {%- endfor %}
    ], recursive := true)
{%- endmacro %}


{# The texts of a group as one, in the order of a column, with a sign between. #}
{% macro joined_in_order(text, order, between='; ') -%}
    {{ return(adapter.dispatch('joined_in_order', 'holdfast')(text, order, between)) }}
{%- endmacro %}

{% macro default__joined_in_order(text, order, between) -%}
    array_join(transform(array_sort(collect_list(named_struct('at', {{ order }}, 'text', {{ text }}))), x -> x.text), '{{ between }}')
{%- endmacro %}

{% macro duckdb__joined_in_order(text, order, between) -%}
    string_agg({{ text }}, '{{ between }}' order by {{ order }})
{%- endmacro %}


{# A row for each word of a text with commas between. #}
{% macro each_word(text) -%}
    {{ return(adapter.dispatch('each_word', 'holdfast')(text)) }}
{%- endmacro %}

{% macro default__each_word(text) -%}
    explode(split({{ text }}, ','))
{%- endmacro %}

{% macro duckdb__each_word(text) -%}
    unnest(string_split({{ text }}, ','))
{%- endmacro %}
