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

measured as (

    select
        *,
        min(age_days) over (partition by as_of, customer_id) as silence_days,
        row_number() over (partition by as_of, customer_id order by age_days) as times_back,
        lead(age_days) over (partition by as_of, customer_id order by age_days) - age_days as gap_days
    from placed

),

aggregated as (

    select
        as_of,
        customer_id,
        sum(count_orders) filter (where age_days <= 7) as count_orders_7d,
        sum(count_orders) filter (where age_days <= 30) as count_orders_30d,
        sum(count_orders) filter (where age_days <= 60) as count_orders_60d,
        sum(count_orders) filter (where age_days <= 90) as count_orders_90d,
        sum(count_orders) filter (where age_days <= 180) as count_orders_180d,
        sum(count_orders) filter (where age_days <= 365) as count_orders_365d,
        count(*) filter (where age_days <= 14) as count_order_days_14d,
        count(*) filter (where age_days <= 30) as count_order_days_30d,
        count(*) filter (where age_days <= 90) as count_order_days_90d,
        count(*) filter (where age_days <= 365) as count_order_days_365d,
        sum(amount_spent) filter (where age_days <= 7) as amount_spent_7d,
        sum(amount_spent) filter (where age_days <= 30) as amount_spent_30d,
        sum(amount_spent) filter (where age_days <= 60) as amount_spent_60d,
        sum(amount_spent) filter (where age_days <= 90) as amount_spent_90d,
        sum(amount_spent) filter (where age_days <= 180) as amount_spent_180d,
        sum(amount_spent) filter (where age_days <= 365) as amount_spent_365d,
        sum(count_lines) filter (where age_days <= 30) as count_lines_30d,
        sum(count_lines) filter (where age_days <= 90) as count_lines_90d,
        max(amount_largest) filter (where age_days <= 90) as amount_largest_90d,
        sum(amount_discount) filter (where age_days <= 30)
        / nullif(sum(amount_spent + amount_discount) filter (where age_days <= 30), 0)
            as share_discount_30d,
        sum(amount_discount) filter (where age_days <= 90)
        / nullif(sum(amount_spent + amount_discount) filter (where age_days <= 90), 0)
            as share_discount_90d,
        sum(amount_discount) filter (where age_days <= 365)
        / nullif(sum(amount_spent + amount_discount) filter (where age_days <= 365), 0)
            as share_discount_365d,
        cast(count(*) filter (where age_days <= 90 and is_weekend) as double)
        / nullif(count(*) filter (where age_days <= 90), 0) as share_weekend_90d,
        min(age_days) as recency_days,
        max(age_days) as days_since_first_order,
        sum(count_orders) as count_orders_total,
        sum(count_orders) filter (where age_days > 335 and age_days <= 365) as count_orders_year_ago,
        cast(sum(gap_days) as double) / nullif(count(gap_days), 0) as mean_gap_days,
        median(gap_days) as median_gap_days,
        max(gap_days) as longest_gap_days,
        max_by(gap_days, -age_days) as last_gap_days,
        sqrt(cast(count(gap_days) * sum(gap_days * gap_days) - sum(gap_days) * sum(gap_days) as double))
        / nullif(count(gap_days), 0) as deviation_gap_days,
        cast(count(*) filter (where gap_days > silence_days) as double)
        / nullif(count(gap_days), 0) as share_gaps_longer,
        sum(cast(power(0.5, age_days / 7.0) as decimal(18, 9))) as rate_orders_halved_7d,
        sum(cast(power(0.5, age_days / 15.0) as decimal(18, 9))) as rate_orders_halved_15d,
        sum(cast(power(0.5, age_days / 30.0) as decimal(18, 9))) as rate_orders_halved_30d,
        sum(cast(power(0.5, age_days / 60.0) as decimal(18, 9))) as rate_orders_halved_60d,
        sum(cast(power(0.5, age_days / 120.0) as decimal(18, 9))) as rate_orders_halved_120d,
        sum(cast(amount_spent * power(0.5, age_days / 15.0) as decimal(28, 12)))
            as rate_spend_halved_15d,
        sum(cast(amount_spent * power(0.5, age_days / 45.0) as decimal(28, 12)))
            as rate_spend_halved_45d,
        min(age_days) filter (where times_back = 2) as days_since_purchase_2,
        min(age_days) filter (where times_back = 3) as days_since_purchase_3,
        min(age_days) filter (where times_back = 4) as days_since_purchase_4,
        min(age_days) filter (where times_back = 6) as days_since_purchase_6,
        min(age_days) filter (where times_back = 9) as days_since_purchase_9,
        min(age_days) filter (where times_back = 13) as days_since_purchase_13,
        min(age_days) filter (where times_back = 20) as days_since_purchase_20,
        min(age_days) filter (where times_back = 30) as days_since_purchase_30,
        max(gap_days) filter (where age_days <= 60) as longest_gap_days_60d,
        max(gap_days) filter (where age_days <= 90) as longest_gap_days_90d,
        max(gap_days) filter (where age_days <= 180) as longest_gap_days_180d,
        count(*) filter (where gap_days > 30 and age_days <= 365) as count_silent_months,
        sum(gap_days - 30) filter (where gap_days > 30 and age_days <= 365) as days_in_silent_months
    from measured
    group by as_of, customer_id

)

select * from aggregated
