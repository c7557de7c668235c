{{ config(materialized='view') }}
with

order_days as (

    select * from {{ ref('int_customer_order_days') }}

),

event_days as (

    select * from {{ ref('int_customer_event_days') }}

),

usage_days as (

    select * from {{ ref('int_customer_usage_days') }}

),

-- a bill comes when the company sends it, and a balance is no use of anything
counted as (

    select
        customer_id,
        order_date as active_date,
        'orders' as indicator,
        cast(count_orders as double) as count_actions
    from order_days
    where {{ 'false' if policy('clv', 'orders_are_bills') else 'true' }}
    union all
    select
        customer_id,
        event_date as active_date,
        'visits' as indicator,
        cast(count_visits as double) as count_actions
    from event_days
    union all
    select
        customer_id,
        event_date as active_date,
        'logins' as indicator,
        cast(count_logins as double) as count_actions
    from event_days
    union all
    select
        customer_id,
        event_date as active_date,
        'feature_uses' as indicator,
        cast(count_feature_uses as double) as count_actions
    from event_days
    union all
    select
        customer_id,
        usage_date as active_date,
        metric as indicator,
        cast(amount_used as double) as count_actions
    from usage_days
    where metric <> 'balance'

),

known as (

    select
        counted.customer_id,
        counted.active_date,
        counted.indicator,
        counted.count_actions,
        customers.known_date
    from counted
    inner join {{ ref('int_customers_dated') }} as customers on counted.customer_id = customers.customer_id
    where counted.count_actions > 0

)

select * from known
