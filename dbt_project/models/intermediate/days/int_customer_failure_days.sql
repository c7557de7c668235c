with

orders as (

    {{ rows_of('orders', to_rebuild_only=true) | indent(4) }}

),

days as (

    select
        customer_id,
        ordered_date as failure_date,
        cast(count_if(status = 'failed') as bigint) as count_failures,
        cast(count_if(status = 'cancelled') as bigint) as count_cancelled
    from orders
    where status in ('failed', 'cancelled')
    group by customer_id, ordered_date

)

select * from days
