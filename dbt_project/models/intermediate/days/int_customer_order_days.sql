with

orders as (

    {{ rows_of('orders', to_rebuild_only=true) | indent(4) }}

),

purchases as (

    select
        customer_id,
        ordered_date as order_date,
        coalesce(amount, 0) as amount,
        coalesce(discount, 0) as discount,
        coalesce(count_lines, 0) as count_lines
    from orders
    where
        coalesce(status, 'paid') not in ('failed', 'cancelled')
        and not is_returned

),

days as (

    select
        customer_id,
        order_date,
        count(*) as count_orders,
        cast(sum(amount) as decimal(18, 4)) as amount_spent,
        max(amount) as amount_largest,
        cast(sum(discount) as decimal(18, 4)) as amount_discount,
        cast(sum(count_lines) as bigint) as count_lines,
        cast(count_if(discount > 0) as bigint) as count_discounted
    from purchases
    group by customer_id, order_date

),

measured as (

    select
        customer_id,
        order_date,
        count_orders,
        amount_spent,
        amount_largest,
        amount_discount,
        count_lines,
        count_discounted,
        {{ weekday('order_date') }} >= 6 as is_weekend
    from days

)

select * from measured
