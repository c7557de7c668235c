-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_store_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.order_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.order_date < snapshots.as_of

),

reduced as (

    select
        as_of,
        customer_id,
        store,
        min(age_days) as age_last,
        sum(count_orders) as count_orders
    from placed
    group by as_of, customer_id, store

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where age_last <= 90) as count_stores_90d,
        cast(max(count_orders) as double) / nullif(sum(count_orders), 0) as share_main_store
    from reduced
    group by as_of, customer_id

)

select * from aggregated
