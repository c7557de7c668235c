-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_deliveries_dated') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.ordered_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.ordered_date < snapshots.as_of

),

measured as (

    select
        *,
        least(coalesce(delivered_date, failed_date, as_of), as_of) as ended_date,
        {{ days_between('promised_date', 'ended_date') }} as delay_days,
        promised_date < as_of and coalesce(delivered_date, failed_date, as_of) >= as_of as is_missing,
        coalesce(failed_date < as_of, false) as has_failed
    from placed

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where delay_days > 0 and age_days <= 30) as count_late_deliveries_30d,
        count(*) filter (where delay_days > 0 and age_days <= 90) as count_late_deliveries_90d,
        cast(count(*) filter (where delay_days > 0 and age_days <= 180) as double)
        / nullif(count(*) filter (where promised_date < as_of and age_days <= 180), 0)
            as share_late_deliveries_180d,
        max(delay_days) filter (where delay_days > 0 and age_days <= 90)
            as longest_delivery_delay_days_90d,
        count(*) filter (where is_missing) as count_missing_deliveries,
        count(*) filter (where has_failed and not is_stockout and age_days <= 180)
            as count_failed_deliveries_180d,
        min(age_days) filter (where has_failed or delay_days > 0) as days_since_delivery_trouble,
        count(*) filter (where has_failed and is_stockout and age_days <= 90) as count_stockouts_90d,
        count(*) filter (where has_failed and is_usual and age_days <= 180)
            as count_usual_stockouts_180d
    from measured
    group by as_of, customer_id

)

select * from aggregated
