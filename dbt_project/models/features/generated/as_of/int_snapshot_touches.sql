-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_touch_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.touch_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.touch_date < snapshots.as_of

),

aggregated as (

    select
        as_of,
        customer_id,
        sum(count_touches) filter (where age_days <= 30) as count_touches_30d,
        sum(count_touches) filter (where age_days <= 90) as count_touches_90d,
        min(age_days) as days_since_touch,
        cast(sum(count_opened) filter (where age_days <= 90) as double)
        / nullif(sum(count_opened_known) filter (where age_days <= 90), 0)
            as share_touches_opened_90d,
        cast(sum(count_clicked) filter (where age_days <= 90) as double)
        / nullif(sum(count_clicked_known) filter (where age_days <= 90), 0)
            as share_touches_clicked_90d,
        cast(sum(count_opened) filter (where age_days <= 365) as double)
        / nullif(sum(count_opened_known) filter (where age_days <= 365), 0)
            as share_touches_opened_365d,
        cast(sum(count_clicked) filter (where age_days <= 365) as double)
        / nullif(sum(count_clicked_known) filter (where age_days <= 365), 0)
            as share_touches_clicked_365d,
        sum(count_opened_known - count_opened) filter (where age_days <= 90)
            as count_touches_ignored
    from placed
    group by as_of, customer_id

)

select * from aggregated
