with

orders as (

    {{ rows_of('orders', to_rebuild_only=true) | indent(4) }}

),

days as (

    select
        customer_id,
        ordered_date as order_date,
        store,
        count(*) as count_orders
    from orders
    where
        store is not null
        and coalesce(status, 'paid') not in ('failed', 'cancelled')
        and not is_returned
    group by customer_id, ordered_date, store

)

select * from days
