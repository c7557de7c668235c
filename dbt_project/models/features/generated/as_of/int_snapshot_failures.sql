-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_failure_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.failure_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.failure_date < snapshots.as_of

),

aggregated as (

    select
        as_of,
        customer_id,
        sum(count_failures) filter (where age_days <= 30) as count_payment_failures_30d,
        sum(count_failures) filter (where age_days <= 90) as count_payment_failures_90d,
        sum(count_failures) filter (where age_days <= 365) as count_payment_failures_365d,
        min(age_days) filter (where count_failures > 0) as days_since_payment_failure,
        sum(count_cancelled) filter (where age_days <= 30) as count_orders_cancelled_30d,
        sum(count_cancelled) filter (where age_days <= 90) as count_orders_cancelled_90d,
        sum(count_cancelled) filter (where age_days <= 365) as count_orders_cancelled_365d
    from placed
    group by as_of, customer_id

)

select * from aggregated
