-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_order_days') }}

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
        floor((age_days - 1) / 7) + 1 as week_number,
        sum(amount_spent) as amount_spent,
        sum(count_orders) as count_orders
    from placed
    group by as_of, customer_id, floor((age_days - 1) / 7) + 1

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where week_number <= 4) as count_weeks_active_4,
        count(*) filter (where week_number <= 8) as count_weeks_active_8,
        count(*) filter (where week_number <= 13) as count_weeks_active_13,
        count(*) filter (where week_number <= 26) as count_weeks_active_26,
        sqrt(
            cast(
                13 * sum(amount_spent * amount_spent) filter (where week_number <= 13)
                - sum(amount_spent) filter (where week_number <= 13)
                * sum(amount_spent) filter (where week_number <= 13)
                as double
            )
        ) / 13 as deviation_spend_weekly_13,
        max(amount_spent) filter (where week_number <= 13) as largest_spend_weekly_13,
        cast(
            8 * (8 + 1) * coalesce(sum(count_orders) filter (where week_number <= 8), 0)
            - 2 * 8 * coalesce(sum(week_number * count_orders) filter (where week_number <= 8), 0)
            as double
        ) * 6 / (8 * 8 * (8 * 8 - 1)) as trend_orders_weekly_8,
        cast(
            13 * (13 + 1) * coalesce(sum(count_orders) filter (where week_number <= 13), 0)
            - 2 * 13 * coalesce(sum(week_number * count_orders) filter (where week_number <= 13), 0)
            as double
        ) * 6 / (13 * 13 * (13 * 13 - 1)) as trend_orders_weekly_13,
        cast(
            26 * (26 + 1) * coalesce(sum(count_orders) filter (where week_number <= 26), 0)
            - 2 * 26 * coalesce(sum(week_number * count_orders) filter (where week_number <= 26), 0)
            as double
        ) * 6 / (26 * 26 * (26 * 26 - 1)) as trend_orders_weekly_26,
        sum(count_orders) filter (where week_number = 1) as count_orders_week_1,
        sum(count_orders) filter (where week_number = 2) as count_orders_week_2,
        sum(count_orders) filter (where week_number = 3) as count_orders_week_3,
        sum(count_orders) filter (where week_number = 4) as count_orders_week_4,
        sum(count_orders) filter (where week_number = 5) as count_orders_week_5,
        sum(count_orders) filter (where week_number = 6) as count_orders_week_6,
        sum(count_orders) filter (where week_number = 7) as count_orders_week_7,
        sum(count_orders) filter (where week_number = 8) as count_orders_week_8
    from reduced
    group by as_of, customer_id

)

select * from aggregated
