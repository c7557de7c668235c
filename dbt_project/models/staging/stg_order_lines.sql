with

source as (

    {{ cleaned_rows('order_lines') }}

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

),

net as (

    {{ net_of_returns(
        key=['order_id', 'line_number'],
        owner=['customer_id', 'product_id'],
        columns=[
            'order_id', 'line_number', 'customer_id', 'ordered_at', 'product_id', 'quantity', 'discount', 'ordered_date',
            '_source', '_batch',
        ]
    ) | indent(4) }}

)

select * from net
