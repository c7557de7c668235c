-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_usage_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.usage_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.usage_date < snapshots.as_of

),

aggregated as (

    select
        as_of,
        customer_id,
        count(distinct age_days) filter (where age_days <= 7) as count_usage_days_7d,
        count(distinct age_days) filter (where age_days <= 30) as count_usage_days_30d,
        count(distinct age_days) filter (where age_days <= 90) as count_usage_days_90d,
        min(age_days) as days_since_usage,
        sum(amount_used) filter (where metric = 'call_minutes' and age_days <= 30)
            as amount_call_minutes_30d,
        sum(amount_used) filter (where metric = 'data_gb' and age_days <= 30) as amount_data_gb_30d,
        sum(amount_used) filter (where metric = 'api_calls' and age_days <= 30)
            as amount_api_calls_30d,
        sum(amount_used) filter (where metric = 'seats_active' and age_days <= 30)
            as amount_seats_active_30d,
        sum(amount_used) filter (where metric = 'trades' and age_days <= 30) as amount_trades_30d,
        sum(amount_used) filter (where metric = 'call_minutes' and age_days <= 90)
            as amount_call_minutes_90d,
        sum(amount_used) filter (where metric = 'data_gb' and age_days <= 90) as amount_data_gb_90d,
        sum(amount_used) filter (where metric = 'api_calls' and age_days <= 90)
            as amount_api_calls_90d,
        sum(amount_used) filter (where metric = 'seats_active' and age_days <= 90)
            as amount_seats_active_90d,
        sum(amount_used) filter (where metric = 'trades' and age_days <= 90) as amount_trades_90d,
        cast(sum(amount_used) filter (where metric = 'call_minutes' and age_days <= 30) as double)
        / nullif(count(*) filter (where metric = 'call_minutes' and age_days <= 30), 0)
            as mean_call_minutes_30d,
        cast(sum(amount_used) filter (where metric = 'data_gb' and age_days <= 30) as double)
        / nullif(count(*) filter (where metric = 'data_gb' and age_days <= 30), 0)
            as mean_data_gb_30d,
        cast(sum(amount_used) filter (where metric = 'api_calls' and age_days <= 30) as double)
        / nullif(count(*) filter (where metric = 'api_calls' and age_days <= 30), 0)
            as mean_api_calls_30d,
        cast(sum(amount_used) filter (where metric = 'seats_active' and age_days <= 30) as double)
        / nullif(count(*) filter (where metric = 'seats_active' and age_days <= 30), 0)
            as mean_seats_active_30d,
        cast(sum(amount_used) filter (where metric = 'trades' and age_days <= 30) as double)
        / nullif(count(*) filter (where metric = 'trades' and age_days <= 30), 0) as mean_trades_30d,
        cast(sum(amount_used) filter (where metric = 'call_minutes' and age_days <= 365) as double)
        / nullif(count(*) filter (where metric = 'call_minutes' and age_days <= 365), 0)
            as mean_call_minutes_365d,
        cast(sum(amount_used) filter (where metric = 'data_gb' and age_days <= 365) as double)
        / nullif(count(*) filter (where metric = 'data_gb' and age_days <= 365), 0)
            as mean_data_gb_365d,
        cast(sum(amount_used) filter (where metric = 'api_calls' and age_days <= 365) as double)
        / nullif(count(*) filter (where metric = 'api_calls' and age_days <= 365), 0)
            as mean_api_calls_365d,
        cast(sum(amount_used) filter (where metric = 'seats_active' and age_days <= 365) as double)
        / nullif(count(*) filter (where metric = 'seats_active' and age_days <= 365), 0)
            as mean_seats_active_365d,
        cast(sum(amount_used) filter (where metric = 'trades' and age_days <= 365) as double)
        / nullif(count(*) filter (where metric = 'trades' and age_days <= 365), 0)
            as mean_trades_365d,
        percentile_cont(0.9) within group (order by cast(amount_used as double))
        filter (where metric = 'call_minutes' and age_days <= 365) as high_call_minutes_365d,
        percentile_cont(0.9) within group (order by cast(amount_used as double))
        filter (where metric = 'data_gb' and age_days <= 365) as high_data_gb_365d,
        percentile_cont(0.9) within group (order by cast(amount_used as double))
        filter (where metric = 'api_calls' and age_days <= 365) as high_api_calls_365d,
        percentile_cont(0.9) within group (order by cast(amount_used as double))
        filter (where metric = 'seats_active' and age_days <= 365) as high_seats_active_365d,
        percentile_cont(0.9) within group (order by cast(amount_used as double))
        filter (where metric = 'trades' and age_days <= 365) as high_trades_365d,
        max_by(level_last, -age_days) filter (where metric = 'balance') as balance_last,
        cast(sum(level_last) filter (where metric = 'balance' and age_days <= 30) as double)
        / nullif(count(*) filter (where metric = 'balance' and age_days <= 30), 0)
            as balance_mean_30d,
        cast(sum(level_last) filter (where metric = 'balance' and age_days <= 90) as double)
        / nullif(count(*) filter (where metric = 'balance' and age_days <= 90), 0)
            as balance_mean_90d,
        percentile_cont(0.9) within group (order by cast(level_last as double))
        filter (where metric = 'balance' and age_days <= 365) as balance_high_365d
    from placed
    group by as_of, customer_id

)

select * from aggregated
