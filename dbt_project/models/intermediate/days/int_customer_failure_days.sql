with

orders as (

    {{ rows_of('orders', due_only=true) | indent(4) }}

),

days as (

    select
        customer_id,
        ordered_date as failure_date,
        count(*) as count_failures
    from orders
    where status = 'failed'
    group by customer_id, ordered_date

)

select * from days
