{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='sync_all_columns') }}
with

-- a table that counts by days writes what it read itself, in its own transaction
been as (

    select
        cast(null as varchar) as reader,
        cast(null as varchar) as source_table,
        cast(null as varchar) as feed,
        cast(null as varchar) as batch,
        cast(null as date) as day_date,
        cast(null as bigint) as count_rows,
        cast(null as timestamp) as landed_at,
        cast(null as timestamp) as known_until,
        cast(null as varchar) as rules
    where 1 = 0

)

select * from been
