{{ config(materialized='table') }}
{% for table in canonical_tables() %}
-- depends_on: {{ ref('stg_' ~ table) }}
{% endfor %}

with

landed as (

    {{ landed_by_batch() }}

),

staged as (

    {{ staged_by_batch() }}

),

removed as (

    select
        batch,
        source,
        table_name,
        sum(count_rows) as count_rows
    from {{ ref('cleaning_counts') }}
    where action = 'removed'
    group by batch, source, table_name

),

accounts as (

    select
        landed.batch,
        landed.source,
        landed.table_name,
        landed.count_rows as rows_landed,
        cast(coalesce(staged.count_rows, 0) as bigint) as rows_staged,
        cast(coalesce(removed.count_rows, 0) as bigint) as rows_removed
    from landed
    left join staged
        on
            landed.batch = staged.batch
            and landed.source = staged.source
            and landed.table_name = staged.table_name
    left join removed
        on
            landed.batch = removed.batch
            and landed.source = removed.source
            and landed.table_name = removed.table_name

)

select * from accounts
