-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_subscriptions_dated') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.started_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.started_date < snapshots.as_of

),

measured as (

    select
        *,
        {{ days_between('as_of', 'renews_date') }} as days_to_renewal,
        {{ days_between('as_of', 'ended_date') }} as days_to_end,
        ended_date is null or ended_date >= as_of as is_running
    from placed

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where is_running) as count_contracts,
        sum(amount_monthly) filter (where is_running) as amount_contracts_monthly,
        sum(cast(count_seats as bigint)) filter (where is_running) as count_seats,
        cast(count(*) filter (where is_auto_renewing and is_running) as double)
        / nullif(count(*) filter (where is_running), 0) as share_auto_renewing,
        min(days_to_renewal) filter (where days_to_renewal >= 0 and is_running) as days_to_renewal,
        count(*) filter (where ended_date < as_of and days_to_end >= -90)
            as count_contracts_ended_90d,
        count(*) filter (where ended_date < as_of and days_to_end >= -365)
            as count_contracts_ended_365d,
        max(age_days) as days_since_first_contract,
        min(age_days) as days_since_last_contract,
        count(*) as count_contracts_ever
    from measured
    group by as_of, customer_id

)

select * from aggregated
