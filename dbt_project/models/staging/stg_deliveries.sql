with

source as (

    {{ cleaned_rows('deliveries') }}

),

localised as (

    select
        delivery_id,
        customer_id,
        order_id,
        ordered_at,
        promised_at,
        delivered_at,
        failed_at,
        failure,
        product_id,
        {{ local_day('ordered_at') }} as ordered_date,
        {{ local_day('promised_at') }} as promised_date,
        {{ local_day('delivered_at') }} as delivered_date,
        {{ local_day('failed_at') }} as failed_date,
        _source,
        _batch
    from source

)

select * from localised
