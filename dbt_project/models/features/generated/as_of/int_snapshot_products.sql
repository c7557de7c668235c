-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_product_days') }}

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
        product_id as product,
        min(age_days) as age_last,
        max(age_days) as age_first,
        count(*) as count_days,
        sum(amount_spent) as amount_spent
    from placed
    group by as_of, customer_id, product_id

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where age_last <= 7) as count_products_7d,
        count(*) filter (where age_last <= 30) as count_products_30d,
        count(*) filter (where age_last <= 90) as count_products_90d,
        count(*) filter (where age_last <= 365) as count_products_365d,
        count(*) filter (where age_first <= 30) as count_products_new_30d,
        count(*) filter (where age_last > 30 and age_last <= 90) as count_products_dropped,
        cast(count(*) filter (where count_days > 1) as double) / nullif(count(*), 0)
            as share_products_repeated,
        cast(max(amount_spent) as double) / nullif(sum(amount_spent), 0) as share_main_product
    from reduced
    group by as_of, customer_id

)

select * from aggregated
