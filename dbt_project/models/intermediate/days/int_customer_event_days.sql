with

landed as (

    {{ rows_of('events', to_rebuild_only=true) | indent(4) }}

),

events as (

    select
        customer_id,
        occurred_date as event_date,
        lower(type) as event_type,
        coalesce(lower(type) in ('unfollow', 'leave_group', 'uninstall'), false) as is_leave_signal,
        lower(page) as page,
        session_id,
        product_id,
        feature,
        coalesce(dwell_seconds, 0) as dwell_seconds
    from landed

),

order_days as (

    select * from {{ ref('int_customer_order_days') }}

),

days as (

    select
        customer_id,
        event_date,
        count(*) as count_events,
        -- the visits that the log names or its sessions, whichever are more, and one where it knows neither
        cast(
            greatest(
                count_if(event_type = 'visit'),
                count(distinct case when not is_leave_signal then session_id end),
                max(case when is_leave_signal then 0 else 1 end)
            ) as bigint
        ) as count_visits,
        cast(count_if(event_type = 'view') as bigint) as count_views,
        cast(count_if(event_type = 'search') as bigint) as count_searches,
        cast(count_if(event_type = 'add_to_cart') as bigint) as count_carts,
        cast(count_if(event_type = 'checkout') as bigint) as count_checkouts,
        cast(count_if(event_type = 'pay') as bigint) as count_payments,
        cast(count_if(event_type = 'login') as bigint) as count_logins,
        cast(count_if(event_type = 'feature') as bigint) as count_feature_uses,
        cast(count_if(is_leave_signal) as bigint) as count_leave_signals,
        cast(count_if(page = 'leave') as bigint) as count_leave_pages,
        cast(count_if(page = 'compare') as bigint) as count_comparisons,
        count(distinct session_id) as count_sessions,
        count(distinct product_id) as count_products_seen,
        count(distinct feature) as count_features_used,
        cast(sum(cast(dwell_seconds as decimal(18, 3))) as decimal(18, 3)) as dwell_seconds
    from events
    group by customer_id, event_date

),

-- a cart is left when the day brought neither a payment nor an order
closed as (

    select
        days.*,
        days.count_carts > 0 and days.count_payments = 0 and order_days.customer_id is null as is_cart_left
    from days
    left join order_days
        on
            days.customer_id = order_days.customer_id
            and days.event_date = order_days.order_date

)

select * from closed
