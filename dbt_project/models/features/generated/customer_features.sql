{{ config(materialized='by_snapshot', keeps_snapshots=true) }}
-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

customers as (

    select * from {{ ref('int_customer_snapshots') }}
    where as_of in (select snapshots.as_of from snapshots)

),

bundles as (

    select * from {{ ref('int_snapshot_bundles') }}
    where as_of in (select snapshots.as_of from snapshots)

),

categories as (

    select * from {{ ref('int_snapshot_categories') }}
    where as_of in (select snapshots.as_of from snapshots)

),

channels as (

    select * from {{ ref('int_snapshot_channels') }}
    where as_of in (select snapshots.as_of from snapshots)

),

deliveries as (

    select * from {{ ref('int_snapshot_deliveries') }}
    where as_of in (select snapshots.as_of from snapshots)

),

departments as (

    select * from {{ ref('int_snapshot_departments') }}
    where as_of in (select snapshots.as_of from snapshots)

),

events as (

    select * from {{ ref('int_snapshot_events') }}
    where as_of in (select snapshots.as_of from snapshots)

),

failures as (

    select * from {{ ref('int_snapshot_failures') }}
    where as_of in (select snapshots.as_of from snapshots)

),

feedback as (

    select * from {{ ref('int_snapshot_feedback') }}
    where as_of in (select snapshots.as_of from snapshots)

),

feedback_texts as (

    select * from {{ ref('int_snapshot_feedback_texts') }}
    where as_of in (select snapshots.as_of from snapshots)

),

invoices as (

    select * from {{ ref('int_snapshot_invoices') }}
    where as_of in (select snapshots.as_of from snapshots)

),

orders as (

    select * from {{ ref('int_snapshot_orders') }}
    where as_of in (select snapshots.as_of from snapshots)

),

products as (

    select * from {{ ref('int_snapshot_products') }}
    where as_of in (select snapshots.as_of from snapshots)

),

redemptions as (

    select * from {{ ref('int_snapshot_redemptions') }}
    where as_of in (select snapshots.as_of from snapshots)

),

rhythm as (

    select * from {{ ref('int_snapshot_rhythm') }}
    where as_of in (select snapshots.as_of from snapshots)

),

stores as (

    select * from {{ ref('int_snapshot_stores') }}
    where as_of in (select snapshots.as_of from snapshots)

),

subscriptions as (

    select * from {{ ref('int_snapshot_subscriptions') }}
    where as_of in (select snapshots.as_of from snapshots)

),

ticket_texts as (

    select * from {{ ref('int_snapshot_ticket_texts') }}
    where as_of in (select snapshots.as_of from snapshots)

),

tickets as (

    select * from {{ ref('int_snapshot_tickets') }}
    where as_of in (select snapshots.as_of from snapshots)

),

touches as (

    select * from {{ ref('int_snapshot_touches') }}
    where as_of in (select snapshots.as_of from snapshots)

),

usage as (

    select * from {{ ref('int_snapshot_usage') }}
    where as_of in (select snapshots.as_of from snapshots)

),

weeks as (

    select * from {{ ref('int_snapshot_weeks') }}
    where as_of in (select snapshots.as_of from snapshots)

),

joined as (

    select
        customers.as_of,
        customers.customer_id,
        customers.is_eligible,
        cast(customers.tenure_days as double) as known_tenure_days,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(bundles.count_bundles_bought_30d, 0)'
        ) }} as count_bundles_bought_30d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(bundles.count_bundles_bought_90d, 0)'
        ) }} as count_bundles_bought_90d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(bundles.count_bundles_open_30d, 0)'
        ) }} as count_bundles_open_30d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(bundles.count_bundles_open_90d, 0)'
        ) }} as count_bundles_open_90d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(bundles.count_bundles_dropped, 0)'
        ) }} as count_bundles_dropped,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(categories.count_categories_7d, 0)'
        ) }} as count_categories_7d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(categories.count_categories_30d, 0)'
        ) }} as count_categories_30d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(categories.count_categories_90d, 0)'
        ) }} as count_categories_90d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(categories.count_categories_365d, 0)'
        ) }} as count_categories_365d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(categories.count_categories_new_30d, 0)'
        ) }} as count_categories_new_30d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(categories.count_categories_dropped, 0)'
        ) }} as count_categories_dropped,
        {{ when_connected(['order_lines', 'products'], 'categories.share_categories_repeated') }}
            as share_categories_repeated,
        {{ when_connected(['order_lines', 'products'], 'categories.share_main_category') }}
            as share_main_category,
        {{ when_connected(['orders'], 'coalesce(channels.count_channels_90d, 0)') }}
            as count_channels_90d,
        {{ when_connected(['orders'], 'coalesce(channels.count_channels_365d, 0)') }}
            as count_channels_365d,
        {{ when_connected(['orders'], 'channels.share_main_channel') }} as share_main_channel,
        {{ when_connected(['deliveries'], 'coalesce(deliveries.count_late_deliveries_30d, 0)') }}
            as count_late_deliveries_30d,
        {{ when_connected(['deliveries'], 'coalesce(deliveries.count_late_deliveries_90d, 0)') }}
            as count_late_deliveries_90d,
        {{ when_connected(['deliveries'], 'deliveries.share_late_deliveries_180d') }}
            as share_late_deliveries_180d,
        {{ when_connected(['deliveries'], 'deliveries.longest_delivery_delay_days_90d') }}
            as longest_delivery_delay_days_90d,
        {{ when_connected(['deliveries'], 'coalesce(deliveries.count_missing_deliveries, 0)') }}
            as count_missing_deliveries,
        {{ when_connected(['deliveries'], 'coalesce(deliveries.count_failed_deliveries_180d, 0)') }}
            as count_failed_deliveries_180d,
        {{ when_connected(['deliveries'], 'deliveries.days_since_delivery_trouble') }}
            as days_since_delivery_trouble,
        {{ when_connected(['deliveries'], 'coalesce(deliveries.count_stockouts_90d, 0)') }}
            as count_stockouts_90d,
        {{ when_connected(
            ['deliveries', 'order_lines'],
            'coalesce(deliveries.count_usual_stockouts_180d, 0)'
        ) }} as count_usual_stockouts_180d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(departments.count_departments_7d, 0)'
        ) }} as count_departments_7d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(departments.count_departments_30d, 0)'
        ) }} as count_departments_30d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(departments.count_departments_90d, 0)'
        ) }} as count_departments_90d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(departments.count_departments_365d, 0)'
        ) }} as count_departments_365d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(departments.count_departments_new_30d, 0)'
        ) }} as count_departments_new_30d,
        {{ when_connected(
            ['order_lines', 'products'],
            'coalesce(departments.count_departments_dropped, 0)'
        ) }} as count_departments_dropped,
        {{ when_connected(['order_lines', 'products'], 'departments.share_departments_repeated') }}
            as share_departments_repeated,
        {{ when_connected(['order_lines', 'products'], 'departments.share_main_department') }}
            as share_main_department,
        {{ when_connected(['events'], 'coalesce(events.count_visits_7d, 0)') }} as count_visits_7d,
        {{ when_connected(['events'], 'coalesce(events.count_visits_30d, 0)') }} as count_visits_30d,
        {{ when_connected(['events'], 'coalesce(events.count_visits_60d, 0)') }} as count_visits_60d,
        {{ when_connected(['events'], 'coalesce(events.count_visits_90d, 0)') }} as count_visits_90d,
        {{ when_connected(['events'], 'coalesce(events.count_visits_180d, 0)') }} as count_visits_180d,
        {{ when_connected(['events'], 'coalesce(events.count_sessions_30d, 0)') }} as count_sessions_30d,
        {{ when_connected(['events'], 'coalesce(events.count_sessions_90d, 0)') }} as count_sessions_90d,
        {{ when_connected(['events'], 'coalesce(events.count_active_days_7d, 0)') }}
            as count_active_days_7d,
        {{ when_connected(['events'], 'coalesce(events.count_active_days_30d, 0)') }}
            as count_active_days_30d,
        {{ when_connected(['events'], 'coalesce(events.count_active_days_60d, 0)') }}
            as count_active_days_60d,
        {{ when_connected(['events'], 'coalesce(events.count_active_days_90d, 0)') }}
            as count_active_days_90d,
        {{ when_connected(['events'], 'coalesce(events.count_active_days_180d, 0)') }}
            as count_active_days_180d,
        {{ when_connected(['events'], 'coalesce(events.count_logins_7d, 0)') }} as count_logins_7d,
        {{ when_connected(['events'], 'coalesce(events.count_views_7d, 0)') }} as count_views_7d,
        {{ when_connected(['events'], 'coalesce(events.count_searches_7d, 0)') }} as count_searches_7d,
        {{ when_connected(['events'], 'coalesce(events.count_carts_7d, 0)') }} as count_carts_7d,
        {{ when_connected(['events'], 'coalesce(events.count_checkouts_7d, 0)') }} as count_checkouts_7d,
        {{ when_connected(['events'], 'coalesce(events.count_payments_7d, 0)') }} as count_payments_7d,
        {{ when_connected(['events'], 'coalesce(events.count_feature_uses_7d, 0)') }}
            as count_feature_uses_7d,
        {{ when_connected(['events'], 'coalesce(events.count_logins_30d, 0)') }} as count_logins_30d,
        {{ when_connected(['events'], 'coalesce(events.count_views_30d, 0)') }} as count_views_30d,
        {{ when_connected(['events'], 'coalesce(events.count_searches_30d, 0)') }} as count_searches_30d,
        {{ when_connected(['events'], 'coalesce(events.count_carts_30d, 0)') }} as count_carts_30d,
        {{ when_connected(['events'], 'coalesce(events.count_checkouts_30d, 0)') }}
            as count_checkouts_30d,
        {{ when_connected(['events'], 'coalesce(events.count_payments_30d, 0)') }} as count_payments_30d,
        {{ when_connected(['events'], 'coalesce(events.count_feature_uses_30d, 0)') }}
            as count_feature_uses_30d,
        {{ when_connected(['events'], 'coalesce(events.count_logins_90d, 0)') }} as count_logins_90d,
        {{ when_connected(['events'], 'coalesce(events.count_views_90d, 0)') }} as count_views_90d,
        {{ when_connected(['events'], 'coalesce(events.count_searches_90d, 0)') }} as count_searches_90d,
        {{ when_connected(['events'], 'coalesce(events.count_carts_90d, 0)') }} as count_carts_90d,
        {{ when_connected(['events'], 'coalesce(events.count_checkouts_90d, 0)') }}
            as count_checkouts_90d,
        {{ when_connected(['events'], 'coalesce(events.count_payments_90d, 0)') }} as count_payments_90d,
        {{ when_connected(['events'], 'coalesce(events.count_feature_uses_90d, 0)') }}
            as count_feature_uses_90d,
        {{ when_connected(['events'], 'coalesce(events.hours_dwelt_30d, 0)') }} as hours_dwelt_30d,
        {{ when_connected(['events'], 'coalesce(events.hours_dwelt_90d, 0)') }} as hours_dwelt_90d,
        {{ when_connected(['events'], 'coalesce(events.most_features_used_30d, 0)') }}
            as most_features_used_30d,
        {{ when_connected(['events'], 'coalesce(events.most_features_used_90d, 0)') }}
            as most_features_used_90d,
        {{ when_connected(['events'], 'events.share_uses_varied_30d') }} as share_uses_varied_30d,
        {{ when_connected(['events'], 'events.share_uses_varied_90d') }} as share_uses_varied_90d,
        {{ when_connected(['events'], 'coalesce(events.count_carts_left_7d, 0)') }}
            as count_carts_left_7d,
        {{ when_connected(['events'], 'coalesce(events.count_carts_left_30d, 0)') }}
            as count_carts_left_30d,
        {{ when_connected(['events'], 'coalesce(events.count_carts_left_90d, 0)') }}
            as count_carts_left_90d,
        {{ when_connected(['events'], 'events.days_since_cart_left') }} as days_since_cart_left,
        {{ when_connected(['events'], 'coalesce(events.count_leave_signals_30d, 0)') }}
            as count_leave_signals_30d,
        {{ when_connected(['events'], 'coalesce(events.count_leave_signals_90d, 0)') }}
            as count_leave_signals_90d,
        {{ when_connected(['events'], 'events.days_since_leave_signal') }} as days_since_leave_signal,
        {{ when_connected(['events'], 'coalesce(events.count_leave_pages_30d, 0)') }}
            as count_leave_pages_30d,
        {{ when_connected(['events'], 'coalesce(events.count_leave_pages_90d, 0)') }}
            as count_leave_pages_90d,
        {{ when_connected(['events'], 'coalesce(events.count_comparisons_7d, 0)') }}
            as count_comparisons_7d,
        {{ when_connected(['events'], 'coalesce(events.count_comparisons_30d, 0)') }}
            as count_comparisons_30d,
        {{ when_connected(['events'], 'coalesce(events.count_comparisons_90d, 0)') }}
            as count_comparisons_90d,
        {{ when_connected(['events'], 'events.days_since_comparison') }} as days_since_comparison,
        {{ when_connected(['events'], 'events.days_since_event') }} as days_since_event,
        {{ when_connected(['events'], 'events.days_since_login') }} as days_since_login,
        {{ when_connected(['events'], 'coalesce(events.rate_active_halved_15d, 0)') }}
            as rate_active_halved_15d,
        {{ when_connected(['events'], 'coalesce(events.rate_active_halved_45d, 0)') }}
            as rate_active_halved_45d,
        {{ when_connected(['orders'], 'coalesce(failures.count_payment_failures_30d, 0)') }}
            as count_payment_failures_30d,
        {{ when_connected(['orders'], 'coalesce(failures.count_payment_failures_90d, 0)') }}
            as count_payment_failures_90d,
        {{ when_connected(['orders'], 'coalesce(failures.count_payment_failures_365d, 0)') }}
            as count_payment_failures_365d,
        {{ when_connected(['orders'], 'failures.days_since_payment_failure') }}
            as days_since_payment_failure,
        {{ when_connected(['orders'], 'coalesce(failures.count_orders_cancelled_30d, 0)') }}
            as count_orders_cancelled_30d,
        {{ when_connected(['orders'], 'coalesce(failures.count_orders_cancelled_90d, 0)') }}
            as count_orders_cancelled_90d,
        {{ when_connected(['orders'], 'coalesce(failures.count_orders_cancelled_365d, 0)') }}
            as count_orders_cancelled_365d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_feedback_30d, 0)') }}
            as count_feedback_30d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_feedback_90d, 0)') }}
            as count_feedback_90d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_feedback_365d, 0)') }}
            as count_feedback_365d,
        {{ when_connected(['feedback'], 'feedback.mean_rating_90d') }} as mean_rating_90d,
        {{ when_connected(['feedback'], 'feedback.mean_rating_365d') }} as mean_rating_365d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_low_ratings_30d, 0)') }}
            as count_low_ratings_30d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_low_ratings_90d, 0)') }}
            as count_low_ratings_90d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_low_ratings_365d, 0)') }}
            as count_low_ratings_365d,
        {{ when_connected(['feedback'], 'feedback.net_promoter_365d') }} as net_promoter_365d,
        {{ when_connected(['feedback'], 'coalesce(feedback.count_posts_90d, 0)') }} as count_posts_90d,
        {{ when_connected(['feedback'], 'feedback.days_since_feedback') }} as days_since_feedback,
        {{ when_connected(['feedback'], 'feedback_texts.count_negative_feedback_texts_30d') }}
            as count_negative_feedback_texts_30d,
        {{ when_connected(['feedback'], 'feedback_texts.count_negative_feedback_texts_90d') }}
            as count_negative_feedback_texts_90d,
        {{ when_connected(['feedback'], 'feedback_texts.share_negative_feedback_texts_365d') }}
            as share_negative_feedback_texts_365d,
        {{ when_connected(['feedback'], 'feedback_texts.days_since_negative_feedback_text') }}
            as days_since_negative_feedback_text,
        {{ when_connected(['feedback'], 'feedback_texts.count_service_feedback_texts_90d') }}
            as count_service_feedback_texts_90d,
        {{ when_connected(['feedback'], 'feedback_texts.count_price_feedback_texts_90d') }}
            as count_price_feedback_texts_90d,
        {{ when_connected(['feedback'], 'feedback_texts.count_product_feedback_texts_90d') }}
            as count_product_feedback_texts_90d,
        {{ when_connected(['feedback'], 'feedback_texts.count_rival_feedback_texts_90d') }}
            as count_rival_feedback_texts_90d,
        {{ when_connected(['feedback'], 'feedback_texts.count_delivery_feedback_texts_90d') }}
            as count_delivery_feedback_texts_90d,
        {{ when_connected(['invoices'], 'coalesce(invoices.count_overdue_invoices, 0)') }}
            as count_overdue_invoices,
        {{ when_connected(['invoices'], 'invoices.days_oldest_overdue_invoice') }}
            as days_oldest_overdue_invoice,
        {{ when_connected(['invoices'], 'invoices.amount_overdue') }} as amount_overdue,
        {{ when_connected(['invoices'], 'coalesce(invoices.count_late_payments_90d, 0)') }}
            as count_late_payments_90d,
        {{ when_connected(['invoices'], 'coalesce(invoices.count_late_payments_365d, 0)') }}
            as count_late_payments_365d,
        {{ when_connected(['invoices'], 'invoices.mean_payment_delay_days_90d') }}
            as mean_payment_delay_days_90d,
        {{ when_connected(['invoices'], 'invoices.mean_payment_delay_days_365d') }}
            as mean_payment_delay_days_365d,
        {{ when_connected(['invoices'], 'coalesce(invoices.count_dunnings_90d, 0)') }}
            as count_dunnings_90d,
        {{ when_connected(['invoices'], 'coalesce(invoices.count_dunnings_365d, 0)') }}
            as count_dunnings_365d,
        {{ when_connected(['invoices'], 'invoices.days_since_invoice_dispute') }}
            as days_since_invoice_dispute,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_7d, 0)') }} as count_orders_7d,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_30d, 0)') }} as count_orders_30d,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_60d, 0)') }} as count_orders_60d,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_90d, 0)') }} as count_orders_90d,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_180d, 0)') }} as count_orders_180d,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_365d, 0)') }} as count_orders_365d,
        {{ when_connected(['orders'], 'coalesce(orders.count_order_days_14d, 0)') }}
            as count_order_days_14d,
        {{ when_connected(['orders'], 'coalesce(orders.count_order_days_30d, 0)') }}
            as count_order_days_30d,
        {{ when_connected(['orders'], 'coalesce(orders.count_order_days_90d, 0)') }}
            as count_order_days_90d,
        {{ when_connected(['orders'], 'coalesce(orders.count_order_days_365d, 0)') }}
            as count_order_days_365d,
        {{ when_connected(['orders'], 'coalesce(orders.amount_spent_7d, 0)') }} as amount_spent_7d,
        {{ when_connected(['orders'], 'coalesce(orders.amount_spent_30d, 0)') }} as amount_spent_30d,
        {{ when_connected(['orders'], 'coalesce(orders.amount_spent_60d, 0)') }} as amount_spent_60d,
        {{ when_connected(['orders'], 'coalesce(orders.amount_spent_90d, 0)') }} as amount_spent_90d,
        {{ when_connected(['orders'], 'coalesce(orders.amount_spent_180d, 0)') }} as amount_spent_180d,
        {{ when_connected(['orders'], 'coalesce(orders.amount_spent_365d, 0)') }} as amount_spent_365d,
        {{ when_connected(['orders'], 'coalesce(orders.count_lines_30d, 0)') }} as count_lines_30d,
        {{ when_connected(['orders'], 'coalesce(orders.count_lines_90d, 0)') }} as count_lines_90d,
        {{ when_connected(['orders'], 'orders.amount_largest_90d') }} as amount_largest_90d,
        {{ when_connected(['orders'], 'orders.share_discount_30d') }} as share_discount_30d,
        {{ when_connected(['orders'], 'orders.share_discount_90d') }} as share_discount_90d,
        {{ when_connected(['orders'], 'orders.share_discount_365d') }} as share_discount_365d,
        {{ when_connected(['orders'], 'orders.share_weekend_90d') }} as share_weekend_90d,
        {{ when_connected(['orders'], 'orders.recency_days') }} as recency_days,
        {{ when_connected(['orders'], 'orders.days_since_first_order') }} as days_since_first_order,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_total, 0)') }} as count_orders_total,
        {{ when_connected(['orders'], 'coalesce(orders.count_orders_year_ago, 0)') }}
            as count_orders_year_ago,
        {{ when_connected(['orders'], 'orders.mean_gap_days') }} as mean_gap_days,
        {{ when_connected(['orders'], 'orders.median_gap_days') }} as median_gap_days,
        {{ when_connected(['orders'], 'orders.longest_gap_days') }} as longest_gap_days,
        {{ when_connected(['orders'], 'orders.last_gap_days') }} as last_gap_days,
        {{ when_connected(['orders'], 'orders.deviation_gap_days') }} as deviation_gap_days,
        {{ when_connected(['orders'], 'orders.share_gaps_longer') }} as share_gaps_longer,
        {{ when_connected(['orders'], 'coalesce(orders.rate_orders_halved_7d, 0)') }}
            as rate_orders_halved_7d,
        {{ when_connected(['orders'], 'coalesce(orders.rate_orders_halved_15d, 0)') }}
            as rate_orders_halved_15d,
        {{ when_connected(['orders'], 'coalesce(orders.rate_orders_halved_30d, 0)') }}
            as rate_orders_halved_30d,
        {{ when_connected(['orders'], 'coalesce(orders.rate_orders_halved_60d, 0)') }}
            as rate_orders_halved_60d,
        {{ when_connected(['orders'], 'coalesce(orders.rate_orders_halved_120d, 0)') }}
            as rate_orders_halved_120d,
        {{ when_connected(['orders'], 'coalesce(orders.rate_spend_halved_15d, 0)') }}
            as rate_spend_halved_15d,
        {{ when_connected(['orders'], 'coalesce(orders.rate_spend_halved_45d, 0)') }}
            as rate_spend_halved_45d,
        {{ when_connected(['orders'], 'orders.days_since_purchase_2') }} as days_since_purchase_2,
        {{ when_connected(['orders'], 'orders.days_since_purchase_3') }} as days_since_purchase_3,
        {{ when_connected(['orders'], 'orders.days_since_purchase_4') }} as days_since_purchase_4,
        {{ when_connected(['orders'], 'orders.days_since_purchase_6') }} as days_since_purchase_6,
        {{ when_connected(['orders'], 'orders.days_since_purchase_9') }} as days_since_purchase_9,
        {{ when_connected(['orders'], 'orders.days_since_purchase_13') }} as days_since_purchase_13,
        {{ when_connected(['orders'], 'orders.days_since_purchase_20') }} as days_since_purchase_20,
        {{ when_connected(['orders'], 'orders.days_since_purchase_30') }} as days_since_purchase_30,
        {{ when_connected(['orders'], 'orders.longest_gap_days_60d') }} as longest_gap_days_60d,
        {{ when_connected(['orders'], 'orders.longest_gap_days_90d') }} as longest_gap_days_90d,
        {{ when_connected(['orders'], 'orders.longest_gap_days_180d') }} as longest_gap_days_180d,
        {{ when_connected(['orders'], 'coalesce(orders.count_silent_months, 0)') }}
            as count_silent_months,
        {{ when_connected(['orders'], 'coalesce(orders.days_in_silent_months, 0)') }}
            as days_in_silent_months,
        {{ when_connected(['order_lines'], 'coalesce(products.count_products_7d, 0)') }}
            as count_products_7d,
        {{ when_connected(['order_lines'], 'coalesce(products.count_products_30d, 0)') }}
            as count_products_30d,
        {{ when_connected(['order_lines'], 'coalesce(products.count_products_90d, 0)') }}
            as count_products_90d,
        {{ when_connected(['order_lines'], 'coalesce(products.count_products_365d, 0)') }}
            as count_products_365d,
        {{ when_connected(['order_lines'], 'coalesce(products.count_products_new_30d, 0)') }}
            as count_products_new_30d,
        {{ when_connected(['order_lines'], 'coalesce(products.count_products_dropped, 0)') }}
            as count_products_dropped,
        {{ when_connected(['order_lines'], 'products.share_products_repeated') }}
            as share_products_repeated,
        {{ when_connected(['order_lines'], 'products.share_main_product') }} as share_main_product,
        {{ when_connected(['redemptions'], 'coalesce(redemptions.count_redemptions_90d, 0)') }}
            as count_redemptions_90d,
        {{ when_connected(['redemptions'], 'coalesce(redemptions.count_redemptions_365d, 0)') }}
            as count_redemptions_365d,
        {{ when_connected(['redemptions'], 'redemptions.days_since_redemption') }}
            as days_since_redemption,
        {{ when_connected(['redemptions'], 'redemptions.amount_redeemed_90d') }} as amount_redeemed_90d,
        {{ when_connected(['redemptions'], 'redemptions.amount_redeemed_365d') }}
            as amount_redeemed_365d,
        {{ when_connected([], 'rhythm.shortfall_largest') }} as shortfall_largest,
        {{ when_connected(['orders'], 'rhythm.shortfall_orders_28d') }} as shortfall_orders_28d,
        {{ when_connected(['orders'], 'rhythm.shortfall_orders_56d') }} as shortfall_orders_56d,
        {{ when_connected(['orders'], 'rhythm.share_orders_of_usual') }} as share_orders_of_usual,
        {{ when_connected(['events'], 'rhythm.shortfall_visits_28d') }} as shortfall_visits_28d,
        {{ when_connected(['events'], 'rhythm.shortfall_logins_28d') }} as shortfall_logins_28d,
        {{ when_connected(['events'], 'rhythm.shortfall_feature_uses_28d') }}
            as shortfall_feature_uses_28d,
        {{ when_connected(['events'], 'rhythm.shortfall_visits_56d') }} as shortfall_visits_56d,
        {{ when_connected(['events'], 'rhythm.shortfall_logins_56d') }} as shortfall_logins_56d,
        {{ when_connected(['events'], 'rhythm.shortfall_feature_uses_56d') }}
            as shortfall_feature_uses_56d,
        {{ when_connected(['events'], 'rhythm.share_visits_of_usual') }} as share_visits_of_usual,
        {{ when_connected(['events'], 'rhythm.share_logins_of_usual') }} as share_logins_of_usual,
        {{ when_connected(['events'], 'rhythm.share_feature_uses_of_usual') }}
            as share_feature_uses_of_usual,
        {{ when_connected(['usage'], 'rhythm.shortfall_usage_28d') }} as shortfall_usage_28d,
        {{ when_connected(['usage'], 'rhythm.shortfall_usage_56d') }} as shortfall_usage_56d,
        {{ when_connected(['usage'], 'rhythm.share_usage_of_usual') }} as share_usage_of_usual,
        {{ when_connected(['orders'], 'coalesce(stores.count_stores_90d, 0)') }} as count_stores_90d,
        {{ when_connected(['orders'], 'stores.share_main_store') }} as share_main_store,
        {{ when_connected(['subscriptions'], 'coalesce(subscriptions.count_contracts, 0)') }}
            as count_contracts,
        {{ when_connected(
            ['subscriptions'],
            'coalesce(subscriptions.amount_contracts_monthly, 0)'
        ) }} as amount_contracts_monthly,
        {{ when_connected(['subscriptions'], 'subscriptions.count_seats') }} as count_seats,
        {{ when_connected(['subscriptions'], 'subscriptions.share_auto_renewing') }}
            as share_auto_renewing,
        {{ when_connected(['subscriptions'], 'subscriptions.days_to_renewal') }} as days_to_renewal,
        {{ when_connected(
            ['subscriptions'],
            'coalesce(subscriptions.count_contracts_ended_90d, 0)'
        ) }} as count_contracts_ended_90d,
        {{ when_connected(
            ['subscriptions'],
            'coalesce(subscriptions.count_contracts_ended_365d, 0)'
        ) }} as count_contracts_ended_365d,
        {{ when_connected(['subscriptions'], 'subscriptions.days_since_first_contract') }}
            as days_since_first_contract,
        {{ when_connected(['subscriptions'], 'subscriptions.days_since_last_contract') }}
            as days_since_last_contract,
        {{ when_connected(['subscriptions'], 'coalesce(subscriptions.count_contracts_ever, 0)') }}
            as count_contracts_ever,
        {{ when_connected(['tickets'], 'ticket_texts.count_negative_ticket_texts_30d') }}
            as count_negative_ticket_texts_30d,
        {{ when_connected(['tickets'], 'ticket_texts.count_negative_ticket_texts_90d') }}
            as count_negative_ticket_texts_90d,
        {{ when_connected(['tickets'], 'ticket_texts.share_negative_ticket_texts_365d') }}
            as share_negative_ticket_texts_365d,
        {{ when_connected(['tickets'], 'ticket_texts.days_since_negative_ticket_text') }}
            as days_since_negative_ticket_text,
        {{ when_connected(['tickets'], 'ticket_texts.count_service_ticket_texts_90d') }}
            as count_service_ticket_texts_90d,
        {{ when_connected(['tickets'], 'ticket_texts.count_price_ticket_texts_90d') }}
            as count_price_ticket_texts_90d,
        {{ when_connected(['tickets'], 'ticket_texts.count_product_ticket_texts_90d') }}
            as count_product_ticket_texts_90d,
        {{ when_connected(['tickets'], 'ticket_texts.count_rival_ticket_texts_90d') }}
            as count_rival_ticket_texts_90d,
        {{ when_connected(['tickets'], 'ticket_texts.count_delivery_ticket_texts_90d') }}
            as count_delivery_ticket_texts_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_complaints_7d, 0)') }}
            as count_complaints_7d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_complaints_30d, 0)') }}
            as count_complaints_30d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_complaints_90d, 0)') }}
            as count_complaints_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_complaints_180d, 0)') }}
            as count_complaints_180d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_complaints_365d, 0)') }}
            as count_complaints_365d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_consultations_30d, 0)') }}
            as count_consultations_30d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_consultations_90d, 0)') }}
            as count_consultations_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_consultations_180d, 0)') }}
            as count_consultations_180d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_urgent_tickets_90d, 0)') }}
            as count_urgent_tickets_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_price_tickets_30d, 0)') }}
            as count_price_tickets_30d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_product_tickets_30d, 0)') }}
            as count_product_tickets_30d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_rival_tickets_30d, 0)') }}
            as count_rival_tickets_30d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_price_tickets_90d, 0)') }}
            as count_price_tickets_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_product_tickets_90d, 0)') }}
            as count_product_tickets_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_rival_tickets_90d, 0)') }}
            as count_rival_tickets_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_price_tickets_180d, 0)') }}
            as count_price_tickets_180d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_product_tickets_180d, 0)') }}
            as count_product_tickets_180d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_rival_tickets_180d, 0)') }}
            as count_rival_tickets_180d,
        {{ when_connected(['tickets'], 'tickets.days_since_price_ticket') }} as days_since_price_ticket,
        {{ when_connected(['tickets'], 'tickets.days_since_product_ticket') }}
            as days_since_product_ticket,
        {{ when_connected(['tickets'], 'tickets.days_since_rival_ticket') }} as days_since_rival_ticket,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_open_tickets, 0)') }}
            as count_open_tickets,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_open_complaints, 0)') }}
            as count_open_complaints,
        {{ when_connected(['tickets'], 'tickets.days_oldest_open_ticket') }} as days_oldest_open_ticket,
        {{ when_connected(['tickets'], 'tickets.days_since_complaint') }} as days_since_complaint,
        {{ when_connected(['tickets'], 'tickets.days_since_ticket') }} as days_since_ticket,
        {{ when_connected(['tickets'], 'tickets.mean_response_hours_30d') }} as mean_response_hours_30d,
        {{ when_connected(['tickets'], 'tickets.mean_response_hours_90d') }} as mean_response_hours_90d,
        {{ when_connected(['tickets'], 'tickets.mean_response_hours_365d') }}
            as mean_response_hours_365d,
        {{ when_connected(['tickets'], 'tickets.mean_complaint_response_hours_90d') }}
            as mean_complaint_response_hours_90d,
        {{ when_connected(['tickets'], 'tickets.mean_complaint_response_hours_365d') }}
            as mean_complaint_response_hours_365d,
        {{ when_connected(['tickets'], 'tickets.longest_response_hours_90d') }}
            as longest_response_hours_90d,
        {{ when_connected(['tickets'], 'tickets.mean_resolution_hours_90d') }}
            as mean_resolution_hours_90d,
        {{ when_connected(['tickets'], 'tickets.mean_resolution_hours_365d') }}
            as mean_resolution_hours_365d,
        {{ when_connected(['tickets'], 'tickets.share_solved_90d') }} as share_solved_90d,
        {{ when_connected(['tickets'], 'tickets.mean_satisfaction_90d') }} as mean_satisfaction_90d,
        {{ when_connected(['tickets'], 'tickets.mean_satisfaction_365d') }} as mean_satisfaction_365d,
        {{ when_connected(['tickets'], 'tickets.least_satisfaction_365d') }} as least_satisfaction_365d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_dissatisfied_90d, 0)') }}
            as count_dissatisfied_90d,
        {{ when_connected(['tickets'], 'coalesce(tickets.count_dissatisfied_365d, 0)') }}
            as count_dissatisfied_365d,
        {{ when_connected(['touches'], 'coalesce(touches.count_touches_30d, 0)') }} as count_touches_30d,
        {{ when_connected(['touches'], 'coalesce(touches.count_touches_90d, 0)') }} as count_touches_90d,
        {{ when_connected(['touches'], 'touches.days_since_touch') }} as days_since_touch,
        {{ when_connected(['touches'], 'touches.share_touches_opened_90d') }}
            as share_touches_opened_90d,
        {{ when_connected(['touches'], 'touches.share_touches_clicked_90d') }}
            as share_touches_clicked_90d,
        {{ when_connected(['touches'], 'touches.share_touches_opened_365d') }}
            as share_touches_opened_365d,
        {{ when_connected(['touches'], 'touches.share_touches_clicked_365d') }}
            as share_touches_clicked_365d,
        {{ when_connected(['touches'], 'coalesce(touches.count_touches_ignored, 0)') }}
            as count_touches_ignored,
        {{ when_connected(['usage'], 'coalesce(usage.count_usage_days_7d, 0)') }} as count_usage_days_7d,
        {{ when_connected(['usage'], 'coalesce(usage.count_usage_days_30d, 0)') }}
            as count_usage_days_30d,
        {{ when_connected(['usage'], 'coalesce(usage.count_usage_days_90d, 0)') }}
            as count_usage_days_90d,
        {{ when_connected(['usage'], 'usage.days_since_usage') }} as days_since_usage,
        {{ when_connected(['usage'], 'usage.amount_call_minutes_30d') }} as amount_call_minutes_30d,
        {{ when_connected(['usage'], 'usage.amount_data_gb_30d') }} as amount_data_gb_30d,
        {{ when_connected(['usage'], 'usage.amount_api_calls_30d') }} as amount_api_calls_30d,
        {{ when_connected(['usage'], 'usage.amount_seats_active_30d') }} as amount_seats_active_30d,
        {{ when_connected(['usage'], 'usage.amount_trades_30d') }} as amount_trades_30d,
        {{ when_connected(['usage'], 'usage.amount_call_minutes_90d') }} as amount_call_minutes_90d,
        {{ when_connected(['usage'], 'usage.amount_data_gb_90d') }} as amount_data_gb_90d,
        {{ when_connected(['usage'], 'usage.amount_api_calls_90d') }} as amount_api_calls_90d,
        {{ when_connected(['usage'], 'usage.amount_seats_active_90d') }} as amount_seats_active_90d,
        {{ when_connected(['usage'], 'usage.amount_trades_90d') }} as amount_trades_90d,
        {{ when_connected(['usage'], 'usage.mean_call_minutes_30d') }} as mean_call_minutes_30d,
        {{ when_connected(['usage'], 'usage.mean_data_gb_30d') }} as mean_data_gb_30d,
        {{ when_connected(['usage'], 'usage.mean_api_calls_30d') }} as mean_api_calls_30d,
        {{ when_connected(['usage'], 'usage.mean_seats_active_30d') }} as mean_seats_active_30d,
        {{ when_connected(['usage'], 'usage.mean_trades_30d') }} as mean_trades_30d,
        {{ when_connected(['usage'], 'usage.mean_call_minutes_365d') }} as mean_call_minutes_365d,
        {{ when_connected(['usage'], 'usage.mean_data_gb_365d') }} as mean_data_gb_365d,
        {{ when_connected(['usage'], 'usage.mean_api_calls_365d') }} as mean_api_calls_365d,
        {{ when_connected(['usage'], 'usage.mean_seats_active_365d') }} as mean_seats_active_365d,
        {{ when_connected(['usage'], 'usage.mean_trades_365d') }} as mean_trades_365d,
        {{ when_connected(['usage'], 'usage.high_call_minutes_365d') }} as high_call_minutes_365d,
        {{ when_connected(['usage'], 'usage.high_data_gb_365d') }} as high_data_gb_365d,
        {{ when_connected(['usage'], 'usage.high_api_calls_365d') }} as high_api_calls_365d,
        {{ when_connected(['usage'], 'usage.high_seats_active_365d') }} as high_seats_active_365d,
        {{ when_connected(['usage'], 'usage.high_trades_365d') }} as high_trades_365d,
        {{ when_connected(['usage'], 'usage.balance_last') }} as balance_last,
        {{ when_connected(['usage'], 'usage.balance_mean_30d') }} as balance_mean_30d,
        {{ when_connected(['usage'], 'usage.balance_mean_90d') }} as balance_mean_90d,
        {{ when_connected(['usage'], 'usage.balance_high_365d') }} as balance_high_365d,
        {{ when_connected(['orders'], 'coalesce(weeks.count_weeks_active_4, 0)') }}
            as count_weeks_active_4,
        {{ when_connected(['orders'], 'coalesce(weeks.count_weeks_active_8, 0)') }}
            as count_weeks_active_8,
        {{ when_connected(['orders'], 'coalesce(weeks.count_weeks_active_13, 0)') }}
            as count_weeks_active_13,
        {{ when_connected(['orders'], 'coalesce(weeks.count_weeks_active_26, 0)') }}
            as count_weeks_active_26,
        {{ when_connected(['orders'], 'weeks.deviation_spend_weekly_13') }} as deviation_spend_weekly_13,
        {{ when_connected(['orders'], 'coalesce(weeks.largest_spend_weekly_13, 0)') }}
            as largest_spend_weekly_13,
        {{ when_connected(['orders'], 'coalesce(weeks.trend_orders_weekly_8, 0)') }}
            as trend_orders_weekly_8,
        {{ when_connected(['orders'], 'coalesce(weeks.trend_orders_weekly_13, 0)') }}
            as trend_orders_weekly_13,
        {{ when_connected(['orders'], 'coalesce(weeks.trend_orders_weekly_26, 0)') }}
            as trend_orders_weekly_26,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_1, 0)') }}
            as count_orders_week_1,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_2, 0)') }}
            as count_orders_week_2,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_3, 0)') }}
            as count_orders_week_3,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_4, 0)') }}
            as count_orders_week_4,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_5, 0)') }}
            as count_orders_week_5,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_6, 0)') }}
            as count_orders_week_6,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_7, 0)') }}
            as count_orders_week_7,
        {{ when_connected(['orders'], 'coalesce(weeks.count_orders_week_8, 0)') }}
            as count_orders_week_8
    from customers
    left join bundles
        on
            customers.as_of = bundles.as_of
            and customers.customer_id = bundles.customer_id
    left join categories
        on
            customers.as_of = categories.as_of
            and customers.customer_id = categories.customer_id
    left join channels
        on
            customers.as_of = channels.as_of
            and customers.customer_id = channels.customer_id
    left join deliveries
        on
            customers.as_of = deliveries.as_of
            and customers.customer_id = deliveries.customer_id
    left join departments
        on
            customers.as_of = departments.as_of
            and customers.customer_id = departments.customer_id
    left join events
        on
            customers.as_of = events.as_of
            and customers.customer_id = events.customer_id
    left join failures
        on
            customers.as_of = failures.as_of
            and customers.customer_id = failures.customer_id
    left join feedback
        on
            customers.as_of = feedback.as_of
            and customers.customer_id = feedback.customer_id
    left join feedback_texts
        on
            customers.as_of = feedback_texts.as_of
            and customers.customer_id = feedback_texts.customer_id
    left join invoices
        on
            customers.as_of = invoices.as_of
            and customers.customer_id = invoices.customer_id
    left join orders
        on
            customers.as_of = orders.as_of
            and customers.customer_id = orders.customer_id
    left join products
        on
            customers.as_of = products.as_of
            and customers.customer_id = products.customer_id
    left join redemptions
        on
            customers.as_of = redemptions.as_of
            and customers.customer_id = redemptions.customer_id
    left join rhythm
        on
            customers.as_of = rhythm.as_of
            and customers.customer_id = rhythm.customer_id
    left join stores
        on
            customers.as_of = stores.as_of
            and customers.customer_id = stores.customer_id
    left join subscriptions
        on
            customers.as_of = subscriptions.as_of
            and customers.customer_id = subscriptions.customer_id
    left join ticket_texts
        on
            customers.as_of = ticket_texts.as_of
            and customers.customer_id = ticket_texts.customer_id
    left join tickets
        on
            customers.as_of = tickets.as_of
            and customers.customer_id = tickets.customer_id
    left join touches
        on
            customers.as_of = touches.as_of
            and customers.customer_id = touches.customer_id
    left join usage
        on
            customers.as_of = usage.as_of
            and customers.customer_id = usage.customer_id
    left join weeks
        on
            customers.as_of = weeks.as_of
            and customers.customer_id = weeks.customer_id

),

derived as (

    select
        as_of,
        customer_id,
        is_eligible,
        count_bundles_bought_30d,
        count_bundles_bought_90d,
        count_bundles_open_30d,
        count_bundles_open_90d,
        count_bundles_dropped,
        count_categories_7d,
        count_categories_30d,
        count_categories_90d,
        count_categories_365d,
        count_categories_new_30d,
        count_categories_dropped,
        share_categories_repeated,
        share_main_category,
        count_channels_90d,
        count_channels_365d,
        share_main_channel,
        count_late_deliveries_30d,
        count_late_deliveries_90d,
        share_late_deliveries_180d,
        longest_delivery_delay_days_90d,
        count_missing_deliveries,
        count_failed_deliveries_180d,
        days_since_delivery_trouble,
        count_stockouts_90d,
        count_usual_stockouts_180d,
        count_departments_7d,
        count_departments_30d,
        count_departments_90d,
        count_departments_365d,
        count_departments_new_30d,
        count_departments_dropped,
        share_departments_repeated,
        share_main_department,
        count_visits_7d,
        count_visits_30d,
        count_visits_60d,
        count_visits_90d,
        count_visits_180d,
        count_sessions_30d,
        count_sessions_90d,
        count_active_days_7d,
        count_active_days_30d,
        count_active_days_60d,
        count_active_days_90d,
        count_active_days_180d,
        count_logins_7d,
        count_views_7d,
        count_searches_7d,
        count_carts_7d,
        count_checkouts_7d,
        count_payments_7d,
        count_feature_uses_7d,
        count_logins_30d,
        count_views_30d,
        count_searches_30d,
        count_carts_30d,
        count_checkouts_30d,
        count_payments_30d,
        count_feature_uses_30d,
        count_logins_90d,
        count_views_90d,
        count_searches_90d,
        count_carts_90d,
        count_checkouts_90d,
        count_payments_90d,
        count_feature_uses_90d,
        hours_dwelt_30d,
        hours_dwelt_90d,
        most_features_used_30d,
        most_features_used_90d,
        share_uses_varied_30d,
        share_uses_varied_90d,
        count_carts_left_7d,
        count_carts_left_30d,
        count_carts_left_90d,
        days_since_cart_left,
        count_leave_signals_30d,
        count_leave_signals_90d,
        days_since_leave_signal,
        count_leave_pages_30d,
        count_leave_pages_90d,
        count_comparisons_7d,
        count_comparisons_30d,
        count_comparisons_90d,
        days_since_comparison,
        days_since_event,
        days_since_login,
        rate_active_halved_15d,
        rate_active_halved_45d,
        count_payment_failures_30d,
        count_payment_failures_90d,
        count_payment_failures_365d,
        days_since_payment_failure,
        count_orders_cancelled_30d,
        count_orders_cancelled_90d,
        count_orders_cancelled_365d,
        count_feedback_30d,
        count_feedback_90d,
        count_feedback_365d,
        mean_rating_90d,
        mean_rating_365d,
        count_low_ratings_30d,
        count_low_ratings_90d,
        count_low_ratings_365d,
        net_promoter_365d,
        count_posts_90d,
        days_since_feedback,
        count_negative_feedback_texts_30d,
        count_negative_feedback_texts_90d,
        share_negative_feedback_texts_365d,
        days_since_negative_feedback_text,
        count_service_feedback_texts_90d,
        count_price_feedback_texts_90d,
        count_product_feedback_texts_90d,
        count_rival_feedback_texts_90d,
        count_delivery_feedback_texts_90d,
        count_overdue_invoices,
        days_oldest_overdue_invoice,
        amount_overdue,
        count_late_payments_90d,
        count_late_payments_365d,
        mean_payment_delay_days_90d,
        mean_payment_delay_days_365d,
        count_dunnings_90d,
        count_dunnings_365d,
        days_since_invoice_dispute,
        count_orders_7d,
        count_orders_30d,
        count_orders_60d,
        count_orders_90d,
        count_orders_180d,
        count_orders_365d,
        count_order_days_14d,
        count_order_days_30d,
        count_order_days_90d,
        count_order_days_365d,
        amount_spent_7d,
        amount_spent_30d,
        amount_spent_60d,
        amount_spent_90d,
        amount_spent_180d,
        amount_spent_365d,
        count_lines_30d,
        count_lines_90d,
        amount_largest_90d,
        share_discount_30d,
        share_discount_90d,
        share_discount_365d,
        share_weekend_90d,
        recency_days,
        days_since_first_order,
        count_orders_total,
        count_orders_year_ago,
        mean_gap_days,
        median_gap_days,
        longest_gap_days,
        last_gap_days,
        deviation_gap_days,
        share_gaps_longer,
        rate_orders_halved_7d,
        rate_orders_halved_15d,
        rate_orders_halved_30d,
        rate_orders_halved_60d,
        rate_orders_halved_120d,
        rate_spend_halved_15d,
        rate_spend_halved_45d,
        days_since_purchase_2,
        days_since_purchase_3,
        days_since_purchase_4,
        days_since_purchase_6,
        days_since_purchase_9,
        days_since_purchase_13,
        days_since_purchase_20,
        days_since_purchase_30,
        longest_gap_days_60d,
        longest_gap_days_90d,
        longest_gap_days_180d,
        count_silent_months,
        days_in_silent_months,
        count_products_7d,
        count_products_30d,
        count_products_90d,
        count_products_365d,
        count_products_new_30d,
        count_products_dropped,
        share_products_repeated,
        share_main_product,
        count_redemptions_90d,
        count_redemptions_365d,
        days_since_redemption,
        amount_redeemed_90d,
        amount_redeemed_365d,
        shortfall_largest,
        shortfall_orders_28d,
        shortfall_orders_56d,
        share_orders_of_usual,
        shortfall_visits_28d,
        shortfall_logins_28d,
        shortfall_feature_uses_28d,
        shortfall_visits_56d,
        shortfall_logins_56d,
        shortfall_feature_uses_56d,
        share_visits_of_usual,
        share_logins_of_usual,
        share_feature_uses_of_usual,
        shortfall_usage_28d,
        shortfall_usage_56d,
        share_usage_of_usual,
        count_stores_90d,
        share_main_store,
        count_contracts,
        amount_contracts_monthly,
        count_seats,
        share_auto_renewing,
        days_to_renewal,
        count_contracts_ended_90d,
        count_contracts_ended_365d,
        days_since_first_contract,
        days_since_last_contract,
        count_contracts_ever,
        count_negative_ticket_texts_30d,
        count_negative_ticket_texts_90d,
        share_negative_ticket_texts_365d,
        days_since_negative_ticket_text,
        count_service_ticket_texts_90d,
        count_price_ticket_texts_90d,
        count_product_ticket_texts_90d,
        count_rival_ticket_texts_90d,
        count_delivery_ticket_texts_90d,
        count_complaints_7d,
        count_complaints_30d,
        count_complaints_90d,
        count_complaints_180d,
        count_complaints_365d,
        count_consultations_30d,
        count_consultations_90d,
        count_consultations_180d,
        count_urgent_tickets_90d,
        count_price_tickets_30d,
        count_product_tickets_30d,
        count_rival_tickets_30d,
        count_price_tickets_90d,
        count_product_tickets_90d,
        count_rival_tickets_90d,
        count_price_tickets_180d,
        count_product_tickets_180d,
        count_rival_tickets_180d,
        days_since_price_ticket,
        days_since_product_ticket,
        days_since_rival_ticket,
        count_open_tickets,
        count_open_complaints,
        days_oldest_open_ticket,
        days_since_complaint,
        days_since_ticket,
        mean_response_hours_30d,
        mean_response_hours_90d,
        mean_response_hours_365d,
        mean_complaint_response_hours_90d,
        mean_complaint_response_hours_365d,
        longest_response_hours_90d,
        mean_resolution_hours_90d,
        mean_resolution_hours_365d,
        share_solved_90d,
        mean_satisfaction_90d,
        mean_satisfaction_365d,
        least_satisfaction_365d,
        count_dissatisfied_90d,
        count_dissatisfied_365d,
        count_touches_30d,
        count_touches_90d,
        days_since_touch,
        share_touches_opened_90d,
        share_touches_clicked_90d,
        share_touches_opened_365d,
        share_touches_clicked_365d,
        count_touches_ignored,
        count_usage_days_7d,
        count_usage_days_30d,
        count_usage_days_90d,
        days_since_usage,
        amount_call_minutes_30d,
        amount_data_gb_30d,
        amount_api_calls_30d,
        amount_seats_active_30d,
        amount_trades_30d,
        amount_call_minutes_90d,
        amount_data_gb_90d,
        amount_api_calls_90d,
        amount_seats_active_90d,
        amount_trades_90d,
        mean_call_minutes_30d,
        mean_data_gb_30d,
        mean_api_calls_30d,
        mean_seats_active_30d,
        mean_trades_30d,
        mean_call_minutes_365d,
        mean_data_gb_365d,
        mean_api_calls_365d,
        mean_seats_active_365d,
        mean_trades_365d,
        high_call_minutes_365d,
        high_data_gb_365d,
        high_api_calls_365d,
        high_seats_active_365d,
        high_trades_365d,
        balance_last,
        balance_mean_30d,
        balance_mean_90d,
        balance_high_365d,
        count_weeks_active_4,
        count_weeks_active_8,
        count_weeks_active_13,
        count_weeks_active_26,
        deviation_spend_weekly_13,
        largest_spend_weekly_13,
        trend_orders_weekly_8,
        trend_orders_weekly_13,
        trend_orders_weekly_26,
        count_orders_week_1,
        count_orders_week_2,
        count_orders_week_3,
        count_orders_week_4,
        count_orders_week_5,
        count_orders_week_6,
        count_orders_week_7,
        count_orders_week_8,
        {{ when_connected([], 'known_tenure_days') }} as tenure_days,
        {{ when_connected(['orders'], 'amount_spent_30d / nullif(count_orders_30d, 0)') }}
            as amount_per_order_30d,
        {{ when_connected(['orders'], 'amount_spent_90d / nullif(count_orders_90d, 0)') }}
            as amount_per_order_90d,
        {{ when_connected(['orders'], 'amount_spent_365d / nullif(count_orders_365d, 0)') }}
            as amount_per_order_365d,
        {{ when_connected(['orders'], '3 * count_orders_30d / nullif(count_orders_90d, 0)') }}
            as ratio_orders_30d_to_90d,
        {{ when_connected(
            ['orders'],
            'round(3 * amount_spent_30d / nullif(amount_spent_90d, 0), 9)'
        ) }} as ratio_spend_30d_to_90d,
        {{ when_connected(['orders'], '30.0 / 7 * count_orders_7d / nullif(count_orders_30d, 0)') }}
            as ratio_orders_7d_to_30d,
        {{ when_connected(
            ['orders'],
            '(2 * count_orders_90d - count_orders_180d) / nullif(count_orders_180d - count_orders_90d, 0)'
        ) }} as change_orders_90d,
        {{ when_connected(
            ['orders'],
            '(2 * amount_spent_90d - amount_spent_180d) / nullif(amount_spent_180d - amount_spent_90d, 0)'
        ) }} as change_spend_90d,
        {{ when_connected(['orders'], 'case when change_spend_90d <= -0.8 then 1 else 0 end') }}
            as is_spend_down_80,
        {{ when_connected(['orders'], 'recency_days - median_gap_days') }} as days_overdue,
        {{ when_connected(['orders'], 'recency_days / mean_gap_days') }} as ratio_overdue,
        {{ when_connected(['orders'], 'recency_days / longest_gap_days') }} as ratio_silence_to_longest,
        {{ when_connected(['orders'], 'deviation_gap_days / mean_gap_days') }} as irregularity,
        {{ when_connected(
            ['orders'],
            'exp(-30.0 * count_order_days_90d / least(90, greatest(known_tenure_days, 30)))'
        ) }} as chance_of_silence,
        {{ when_connected(
            ['orders'],
            '(2 * count_orders_30d - count_orders_60d) / nullif(count_orders_60d - count_orders_30d, 0)'
        ) }} as change_orders_30d,
        {{ when_connected(
            ['orders'],
            '(2 * amount_spent_30d - amount_spent_60d) / nullif(amount_spent_60d - amount_spent_30d, 0)'
        ) }} as change_spend_30d,
        {{ when_connected(
            ['orders'],
            'count_orders_30d / nullif(count_orders_60d - count_orders_30d, 0) / nullif( sum(count_orders_30d) over (partition by as_of) / nullif(sum(count_orders_60d - count_orders_30d) over (partition by as_of), 0), 0 ) - 1'
        ) }} as change_orders_30d_seasonal,
        {{ when_connected(['orders'], '3 * count_orders_60d / nullif(count_orders_180d, 0)') }}
            as ratio_orders_60d_to_180d,
        {{ when_connected(
            ['orders'],
            '365.0 / 90 * amount_spent_90d / nullif(amount_spent_365d, 0)'
        ) }} as ratio_spend_90d_to_365d,
        {{ when_connected(
            ['orders'],
            '4 * rate_orders_halved_15d / nullif(rate_orders_halved_60d, 0)'
        ) }} as ratio_pace_15d_to_60d,
        {{ when_connected(['orders'], 'last_gap_days / mean_gap_days') }} as ratio_last_gap_to_mean,
        {{ when_connected(['orders'], 'recency_days / days_since_first_order') }}
            as share_of_life_silent,
        {{ when_connected(['orders'], 'case when days_since_first_order <= 60 then 1 else 0 end') }}
            as is_new_buyer,
        {{ when_connected(
            ['orders'],
            '30.0 * count_orders_total / nullif(days_since_first_order, 0)'
        ) }} as count_orders_per_month_of_life,
        {{ when_connected(['orders'], 'amount_spent_30d / nullif(count_lines_30d, 0)') }}
            as amount_per_line_30d,
        {{ when_connected(['orders'], 'amount_spent_90d / nullif(count_lines_90d, 0)') }}
            as amount_per_line_90d,
        {{ when_connected(['orders'], 'count_lines_30d / nullif(count_orders_30d, 0)') }}
            as lines_per_order_30d,
        {{ when_connected(['orders'], 'count_lines_90d / nullif(count_orders_90d, 0)') }}
            as lines_per_order_90d,
        {{ when_connected(
            ['orders'],
            'greatest(1 - amount_per_order_30d / nullif(amount_per_order_365d, 0), 0)'
        ) }} as fall_amount_per_order,
        {{ when_connected(
            ['orders'],
            'greatest(amount_per_order_30d / nullif(amount_per_order_365d, 0) - 1, 0)'
        ) }} as rise_amount_per_order,
        {{ when_connected(['orders'], 'share_discount_30d - share_discount_365d') }}
            as change_share_discount,
        {{ when_connected(
            ['orders'],
            'deviation_spend_weekly_13 / nullif(amount_spent_90d / 13, 0)'
        ) }} as variation_spend_weekly,
        {{ when_connected(['orders'], 'largest_spend_weekly_13 / nullif(amount_spent_180d, 0)') }}
            as share_spend_largest_week,
        {{ when_connected(
            ['orders'],
            'case when amount_spent_30d < 15 * amount_spent_365d / least(365, days_since_first_order) and amount_spent_60d - amount_spent_30d < 15 * amount_spent_365d / least(365, days_since_first_order) then 1 else 0 end'
        ) }} as is_spend_low_two_months,
        {{ when_connected(
            ['order_lines', 'products'],
            'count_departments_30d / nullif(count_departments_90d, 0)'
        ) }} as ratio_departments_kept,
        {{ when_connected(
            ['order_lines', 'products'],
            'count_categories_30d / nullif(count_categories_90d, 0)'
        ) }} as ratio_categories_kept,
        {{ when_connected(
            ['order_lines', 'products'],
            'count_bundles_bought_90d / nullif(count_bundles_bought_90d + count_bundles_open_90d, 0)'
        ) }} as share_bundles_bought_90d,
        {{ when_connected(['order_lines'], 'count_products_30d / nullif(count_products_90d, 0)') }}
            as ratio_products_kept,
        {{ when_connected(
            ['events'],
            '(2 * count_visits_30d - count_visits_60d) / nullif(count_visits_60d - count_visits_30d, 0)'
        ) }} as change_visits_30d,
        {{ when_connected(
            ['events'],
            '(2 * count_active_days_90d - count_active_days_180d) / nullif(count_active_days_180d - count_active_days_90d, 0)'
        ) }} as change_active_days_90d,
        {{ when_connected(['events'], 'case when change_visits_30d <= -0.5 then 1 else 0 end') }}
            as is_visits_down_50,
        {{ when_connected(
            ['orders', 'events'],
            'case when is_spend_low_two_months = 1 and count_logins_30d < 30.0 / 7 then 1 else 0 end'
        ) }} as is_spend_and_login_low,
        {{ when_connected(['events'], '3 * count_logins_30d / nullif(count_logins_90d, 0)') }}
            as ratio_logins_30d_to_90d,
        {{ when_connected(
            ['events'],
            '3 * count_feature_uses_30d / nullif(count_feature_uses_90d, 0)'
        ) }} as ratio_feature_uses_30d_to_90d,
        {{ when_connected(['events'], 'count_views_30d / nullif(count_visits_30d, 0)') }}
            as ratio_views_to_visits_30d,
        {{ when_connected(['events'], 'count_views_90d / nullif(count_visits_90d, 0)') }}
            as ratio_views_to_visits_90d,
        {{ when_connected(
            ['events'],
            'ratio_views_to_visits_30d / nullif(ratio_views_to_visits_90d, 0) - 1'
        ) }} as drop_views_to_visits,
        {{ when_connected(['events'], 'count_carts_30d / nullif(count_views_30d, 0)') }}
            as ratio_carts_to_views_30d,
        {{ when_connected(['events'], 'count_carts_90d / nullif(count_views_90d, 0)') }}
            as ratio_carts_to_views_90d,
        {{ when_connected(
            ['events'],
            'ratio_carts_to_views_30d / nullif(ratio_carts_to_views_90d, 0) - 1'
        ) }} as drop_carts_to_views,
        {{ when_connected(['events'], 'count_checkouts_30d / nullif(count_carts_30d, 0)') }}
            as ratio_checkouts_to_carts_30d,
        {{ when_connected(['events'], 'count_checkouts_90d / nullif(count_carts_90d, 0)') }}
            as ratio_checkouts_to_carts_90d,
        {{ when_connected(
            ['events'],
            'ratio_checkouts_to_carts_30d / nullif(ratio_checkouts_to_carts_90d, 0) - 1'
        ) }} as drop_checkouts_to_carts,
        {{ when_connected(['events'], 'count_payments_30d / nullif(count_checkouts_30d, 0)') }}
            as ratio_payments_to_checkouts_30d,
        {{ when_connected(['events'], 'count_payments_90d / nullif(count_checkouts_90d, 0)') }}
            as ratio_payments_to_checkouts_90d,
        {{ when_connected(
            ['events'],
            'ratio_payments_to_checkouts_30d / nullif(ratio_payments_to_checkouts_90d, 0) - 1'
        ) }} as drop_payments_to_checkouts,
        {{ when_connected(
            ['events'],
            '( count_views_30d - count_visits_30d * (count_views_90d - count_views_30d) / nullif(count_visits_90d - count_visits_30d, 0) ) / sqrt(nullif(count_visits_30d * (count_views_90d - count_views_30d) / nullif(count_visits_90d - count_visits_30d, 0), 0))'
        ) }} as surprise_views_to_visits,
        {{ when_connected(
            ['events'],
            '( count_carts_30d - count_views_30d * (count_carts_90d - count_carts_30d) / nullif(count_views_90d - count_views_30d, 0) ) / sqrt(nullif(count_views_30d * (count_carts_90d - count_carts_30d) / nullif(count_views_90d - count_views_30d, 0), 0))'
        ) }} as surprise_carts_to_views,
        {{ when_connected(
            ['events'],
            '( count_checkouts_30d - count_carts_30d * (count_checkouts_90d - count_checkouts_30d) / nullif(count_carts_90d - count_carts_30d, 0) ) / sqrt(nullif(count_carts_30d * (count_checkouts_90d - count_checkouts_30d) / nullif(count_carts_90d - count_carts_30d, 0), 0))'
        ) }} as surprise_checkouts_to_carts,
        {{ when_connected(
            ['events'],
            '( count_payments_30d - count_checkouts_30d * (count_payments_90d - count_payments_30d) / nullif(count_checkouts_90d - count_checkouts_30d, 0) ) / sqrt(nullif(count_checkouts_30d * (count_payments_90d - count_payments_30d) / nullif(count_checkouts_90d - count_checkouts_30d, 0), 0))'
        ) }} as surprise_payments_to_checkouts,
        {{ when_connected(
            ['events'],
            'case when least( coalesce(surprise_views_to_visits, 0), coalesce(surprise_carts_to_views, 0), coalesce(surprise_checkouts_to_carts, 0), coalesce(surprise_payments_to_checkouts, 0) ) <= -2 then 1 else 0 end'
        ) }} as is_funnel_broken,
        {{ when_connected(['events'], 'count_carts_left_90d / nullif(count_carts_90d, 0)') }}
            as share_carts_left_90d,
        {{ when_connected(['events'], '6 * count_visits_30d / nullif(count_visits_180d, 0)') }}
            as ratio_visits_30d_to_180d,
        {{ when_connected(['events'], 'count_comparisons_30d / nullif(count_sessions_30d, 0)') }}
            as comparisons_per_session_30d,
        {{ when_connected(['events'], 'count_comparisons_90d / nullif(count_sessions_90d, 0)') }}
            as comparisons_per_session_90d,
        {{ when_connected(['events', 'orders'], 'count_visits_90d / nullif(count_orders_90d, 0)') }}
            as visits_per_order_90d,
        {{ when_connected(
            ['tickets'],
            'mean_response_hours_30d / nullif(mean_response_hours_365d, 0) - 1'
        ) }} as change_response_hours,
        {{ when_connected(
            ['tickets'],
            'mean_complaint_response_hours_90d / nullif(mean_complaint_response_hours_365d, 0) - 1'
        ) }} as change_complaint_response_hours,
        {{ when_connected(
            ['tickets'],
            '(2 * count_consultations_90d - count_consultations_180d) / nullif(count_consultations_180d - count_consultations_90d, 0)'
        ) }} as change_consultations_90d,
        {{ when_connected(
            ['tickets', 'orders'],
            'case when change_complaint_response_hours > 0 then 1 else 0 end + case when change_consultations_90d < 0 then 1 else 0 end + case when change_orders_30d <= -0.5 then 1 else 0 end'
        ) }} as count_core_signals,
        {{ when_connected(
            ['tickets'],
            '(2 * count_complaints_90d - count_complaints_180d) / nullif(count_complaints_180d - count_complaints_90d, 0)'
        ) }} as change_complaints_90d,
        {{ when_connected(['tickets'], 'case when count_open_complaints > 0 then 1 else 0 end') }}
            as has_open_complaint,
        {{ when_connected(
            ['tickets', 'orders'],
            'count_complaints_365d / nullif(count_orders_365d, 0)'
        ) }} as complaints_per_order_365d,
        {{ when_connected(['tickets'], 'mean_satisfaction_90d - mean_satisfaction_365d') }}
            as change_satisfaction,
        {{ when_connected(['feedback'], 'mean_rating_90d - mean_rating_365d') }} as change_rating,
        {{ when_connected(
            ['feedback'],
            'count_low_ratings_365d / nullif(count_feedback_365d, 0)'
        ) }} as share_low_ratings_365d,
        {{ when_connected(
            ['usage'],
            '3 * count_usage_days_30d / nullif(count_usage_days_90d, 0) - 1'
        ) }} as change_usage_days,
        {{ when_connected(
            ['usage'],
            '3 * amount_call_minutes_30d / nullif(amount_call_minutes_90d, 0) - 1'
        ) }} as change_call_minutes,
        {{ when_connected(
            ['usage'],
            '3 * amount_data_gb_30d / nullif(amount_data_gb_90d, 0) - 1'
        ) }} as change_data_gb,
        {{ when_connected(
            ['usage'],
            '3 * amount_api_calls_30d / nullif(amount_api_calls_90d, 0) - 1'
        ) }} as change_api_calls,
        {{ when_connected(
            ['usage'],
            '3 * amount_seats_active_30d / nullif(amount_seats_active_90d, 0) - 1'
        ) }} as change_seats_active,
        {{ when_connected(['usage'], '3 * amount_trades_30d / nullif(amount_trades_90d, 0) - 1') }}
            as change_trades,
        {{ when_connected(['usage'], 'mean_call_minutes_30d / nullif(high_call_minutes_365d, 0)') }}
            as ratio_call_minutes_to_high,
        {{ when_connected(['usage'], 'mean_data_gb_30d / nullif(high_data_gb_365d, 0)') }}
            as ratio_data_gb_to_high,
        {{ when_connected(['usage'], 'mean_api_calls_30d / nullif(high_api_calls_365d, 0)') }}
            as ratio_api_calls_to_high,
        {{ when_connected(['usage'], 'mean_seats_active_30d / nullif(high_seats_active_365d, 0)') }}
            as ratio_seats_active_to_high,
        {{ when_connected(['usage'], 'mean_trades_30d / nullif(high_trades_365d, 0)') }}
            as ratio_trades_to_high,
        {{ when_connected(['usage'], 'balance_mean_30d / nullif(balance_high_365d, 0)') }}
            as ratio_balance_to_high,
        {{ when_connected(['usage'], 'balance_last / nullif(balance_mean_90d, 0) - 1') }}
            as change_balance,
        {{ when_connected(['subscriptions'], 'case when days_to_renewal <= 30 then 1 else 0 end') }}
            as is_renewal_near,
        {{ when_connected(['subscriptions'], 'amount_contracts_monthly / nullif(count_seats, 0)') }}
            as amount_per_seat,
        {{ when_connected(
            ['subscriptions', 'usage'],
            'amount_seats_active_30d / nullif(30 * count_seats, 0)'
        ) }} as share_seats_active_30d,
        {{ when_connected(
            ['redemptions', 'touches'],
            'count_redemptions_90d / nullif(count_touches_90d, 0)'
        ) }} as redemptions_per_touch_90d,
        {{ when_connected(['redemptions', 'orders'], 'days_since_redemption - recency_days') }}
            as days_redemption_before_purchase,
        {{ when_connected(
            ['orders'],
            'least(1, days_in_silent_months / least(365, days_since_first_order))'
        ) }} as share_of_life_in_silent_months
    from joined

)

select * from derived
