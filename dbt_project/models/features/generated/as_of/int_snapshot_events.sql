-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_customer_event_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.*,
        {{ days_between('days.event_date', 'snapshots.as_of') }} as age_days
    from snapshots
    cross join days
    where days.event_date < snapshots.as_of

),

aggregated as (

    select
        as_of,
        customer_id,
        sum(count_visits) filter (where age_days <= 7) as count_visits_7d,
        sum(count_visits) filter (where age_days <= 30) as count_visits_30d,
        sum(count_visits) filter (where age_days <= 60) as count_visits_60d,
        sum(count_visits) filter (where age_days <= 90) as count_visits_90d,
        sum(count_visits) filter (where age_days <= 180) as count_visits_180d,
        sum(count_sessions) filter (where age_days <= 30) as count_sessions_30d,
        sum(count_sessions) filter (where age_days <= 90) as count_sessions_90d,
        count(*) filter (where age_days <= 7) as count_active_days_7d,
        count(*) filter (where age_days <= 30) as count_active_days_30d,
        count(*) filter (where age_days <= 60) as count_active_days_60d,
        count(*) filter (where age_days <= 90) as count_active_days_90d,
        count(*) filter (where age_days <= 180) as count_active_days_180d,
        sum(count_logins) filter (where age_days <= 7) as count_logins_7d,
        sum(count_views) filter (where age_days <= 7) as count_views_7d,
        sum(count_searches) filter (where age_days <= 7) as count_searches_7d,
        sum(count_carts) filter (where age_days <= 7) as count_carts_7d,
        sum(count_checkouts) filter (where age_days <= 7) as count_checkouts_7d,
        sum(count_payments) filter (where age_days <= 7) as count_payments_7d,
        sum(count_feature_uses) filter (where age_days <= 7) as count_feature_uses_7d,
        sum(count_logins) filter (where age_days <= 30) as count_logins_30d,
        sum(count_views) filter (where age_days <= 30) as count_views_30d,
        sum(count_searches) filter (where age_days <= 30) as count_searches_30d,
        sum(count_carts) filter (where age_days <= 30) as count_carts_30d,
        sum(count_checkouts) filter (where age_days <= 30) as count_checkouts_30d,
        sum(count_payments) filter (where age_days <= 30) as count_payments_30d,
        sum(count_feature_uses) filter (where age_days <= 30) as count_feature_uses_30d,
        sum(count_logins) filter (where age_days <= 90) as count_logins_90d,
        sum(count_views) filter (where age_days <= 90) as count_views_90d,
        sum(count_searches) filter (where age_days <= 90) as count_searches_90d,
        sum(count_carts) filter (where age_days <= 90) as count_carts_90d,
        sum(count_checkouts) filter (where age_days <= 90) as count_checkouts_90d,
        sum(count_payments) filter (where age_days <= 90) as count_payments_90d,
        sum(count_feature_uses) filter (where age_days <= 90) as count_feature_uses_90d,
        sum(dwell_seconds) filter (where age_days <= 30) / 3600 as hours_dwelt_30d,
        sum(dwell_seconds) filter (where age_days <= 90) / 3600 as hours_dwelt_90d,
        max(count_features_used) filter (where age_days <= 30) as most_features_used_30d,
        max(count_features_used) filter (where age_days <= 90) as most_features_used_90d,
        cast(sum(count_features_used) filter (where age_days <= 30) as double)
        / nullif(sum(count_feature_uses) filter (where age_days <= 30), 0) as share_uses_varied_30d,
        cast(sum(count_features_used) filter (where age_days <= 90) as double)
        / nullif(sum(count_feature_uses) filter (where age_days <= 90), 0) as share_uses_varied_90d,
        count(*) filter (where age_days <= 7 and is_cart_left) as count_carts_left_7d,
        count(*) filter (where age_days <= 30 and is_cart_left) as count_carts_left_30d,
        count(*) filter (where age_days <= 90 and is_cart_left) as count_carts_left_90d,
        min(age_days) filter (where is_cart_left) as days_since_cart_left,
        sum(count_leave_signals) filter (where age_days <= 30) as count_leave_signals_30d,
        sum(count_leave_signals) filter (where age_days <= 90) as count_leave_signals_90d,
        min(age_days) filter (where count_leave_signals > 0) as days_since_leave_signal,
        sum(count_leave_pages) filter (where age_days <= 30) as count_leave_pages_30d,
        sum(count_leave_pages) filter (where age_days <= 90) as count_leave_pages_90d,
        sum(count_comparisons) filter (where age_days <= 7) as count_comparisons_7d,
        sum(count_comparisons) filter (where age_days <= 30) as count_comparisons_30d,
        sum(count_comparisons) filter (where age_days <= 90) as count_comparisons_90d,
        min(age_days) filter (where count_comparisons > 0) as days_since_comparison,
        min(age_days) as days_since_event,
        min(age_days) filter (where count_logins > 0) as days_since_login,
        sum(cast(power(0.5, age_days / 15.0) as decimal(18, 9))) as rate_active_halved_15d,
        sum(cast(power(0.5, age_days / 45.0) as decimal(18, 9))) as rate_active_halved_45d
    from placed
    group by as_of, customer_id

)

select * from aggregated
