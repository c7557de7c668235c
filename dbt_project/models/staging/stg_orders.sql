with

source as (

    {{ cleaned_rows('orders') }}

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

),

net as (

    {{ net_of_returns(
        key=['order_id'],
        owner=['customer_id'],
        columns=[
            'order_id', 'customer_id', 'ordered_at', 'discount', 'count_lines', 'channel', 'store', 'payment_method',
            'status', 'ordered_date', '_source', '_batch',
        ],
        has_status=true
    ) | indent(4) }}

)

select * from net
