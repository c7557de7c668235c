{{ config(materialized='table') }}
-- depends_on: {{ ref('duplicate_events') }}

with

counted as (

    {{ rule_counts() }}

),

counts as (

    select
        batch,
        source,
        table_name,
        rule,
        column_name,
        action,
        count_rows
    from counted

)

select * from counts
