{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ forget_cleaning_days() }}',
    post_hook='{{ remember_cleaning_days() }}'
) }}
-- depends_on: {{ ref('duplicate_events') }}
{% for table in var('canonical_tables') %}
-- depends_on: {{ ref('stg_' ~ table) }}
{% endfor %}

with

counted as (

    {{ rows_by_day() | indent(4) }}

),

days as (

    select
        batch,
        source,
        table_name,
        day_date,
        rule,
        column_name,
        action,
        count_rows
    from counted
    where count_rows > 0

)

select * from days
