with

orders as (

    select * from {{ ref('stg_orders') }}

),

days as (

    select
        customer_id,
        ordered_date as order_date,
        channel,
        count(*) as count_orders
    from orders
    where
        channel is not null
        and coalesce(status, 'paid') not in ('failed', 'cancelled')
    group by customer_id, ordered_date, channel

)

select * from days
