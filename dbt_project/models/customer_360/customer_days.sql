{{ config(materialized='view') }}
with

days as (

    {{ days_of_trade() }}

),

customers as (

    select * from {{ ref('int_customers_dated') }}

),

order_days as (

    select * from {{ ref('int_customer_order_days') }}

),

alive as (

    select
        customers.customer_id,
        days.day_date,
        customers.known_date
    from customers
    cross join days
    where
        customers.known_date <= days.day_date
        and days.day_date < {{ as_of() }}

),

traded as (

    select
        alive.customer_id,
        alive.day_date,
        {{ days_between('alive.known_date', 'alive.day_date') }} as tenure_days,
        coalesce(order_days.count_orders, 0) as count_orders,
        cast(coalesce(order_days.amount_spent, 0) as double) as amount_spent,
        min(order_days.order_date) over (
            partition by alive.customer_id order by alive.day_date rows between unbounded preceding and current row
        ) as first_order_date,
        max(order_days.order_date) over (
            partition by alive.customer_id order by alive.day_date rows between unbounded preceding and current row
        ) as last_order_date
    from alive
    left join order_days
        on
            alive.customer_id = order_days.customer_id
            and alive.day_date = order_days.order_date

),

measured as (

    select
        customer_id,
        day_date,
        cast(tenure_days as bigint) as tenure_days,
        cast({{ days_between('last_order_date', 'day_date') }} as bigint) as days_since_order,
        cast(count_orders as bigint) as count_orders,
        amount_spent,
        {{ lifecycle_on_day() }} as lifecycle_stage
    from traded

)

select * from measured
