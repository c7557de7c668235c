-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_redemption_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.redemption_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.redemption_date < snapshots.as_of

),

aggregated as (

    select
        as_of,
        customer_id,
        sum(count_redemptions) filter (where age_days <= 90) as count_redemptions_90d,
        sum(count_redemptions) filter (where age_days <= 365) as count_redemptions_365d,
        min(age_days) as days_since_redemption,
        sum(amount_redeemed) filter (where age_days <= 90) as amount_redeemed_90d,
        sum(amount_redeemed) filter (where age_days <= 365) as amount_redeemed_365d
    from placed
    group by as_of, customer_id

)

select * from aggregated
