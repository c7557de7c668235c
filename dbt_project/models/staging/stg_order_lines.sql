with

source as (

    {{ landed('order_lines') }}

),

localised as (

    select
        order_id,
        line_number,
        customer_id,
        ordered_at,
        product_id,
        quantity,
        cast(amount as decimal(18, 4)) as amount,
        cast(discount as decimal(18, 4)) as discount,
        {{ local_day('ordered_at') }} as ordered_date,
        _source,
        _batch
    from source

)

select * from localised
