with

days as (

    select * from {{ ref('cleaning_days') }}

),

reconciled as (

    select
        batch,
        source,
        table_name,
        cast(coalesce(sum(count_rows) filter (where action = 'landed'), 0) as bigint) as rows_landed,
        cast(coalesce(sum(count_rows) filter (where action = 'staged'), 0) as bigint) as rows_staged,
        cast(coalesce(sum(count_rows) filter (where action = 'removed'), 0) as bigint) as rows_removed
    from days
    group by batch, source, table_name

)

select * from reconciled
