{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='sync_all_columns') }}
with

-- a day table writes what it built here itself, in its own transaction
built as (

    select
        cast(null as varchar) as day_table,
        cast(null as date) as day_date,
        cast(null as varchar) as made_from
    where 1 = 0

)

select * from built
