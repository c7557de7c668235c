{{ config(materialized='table') }}

with

counted as (

    {{ rule_counts() | indent(4) }}

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
