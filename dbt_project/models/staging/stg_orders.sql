with

source as (

    {{ landed('orders') }}

),

localised as (

    select
        order_id,
        customer_id,
        ordered_at,
        cast(amount as decimal(18, 4)) as amount,
        cast(discount as decimal(18, 4)) as discount,
        count_lines,
        channel,
        store,
        payment_method,
        status,
        {{ local_day('ordered_at') }} as ordered_date,
        _source,
        _batch
    from source

)

select * from localised
