with

deliveries as (

    select
        stg_deliveries.*,
        coalesce(contacts.account_id, stg_deliveries.customer_id) as account_id
    from {{ ref('stg_deliveries') }} as stg_deliveries
    left join {{ ref('int_contacts') }} as contacts on stg_deliveries.customer_id = contacts.customer_id

),

-- what was out of stock although the customer had bought it before, on several days
usual as (

    select deliveries.delivery_id
    from deliveries
    inner join {{ ref('int_customer_product_days') }} as bought
        on
            deliveries.account_id = bought.customer_id
            and deliveries.product_id = bought.product_id
            and deliveries.ordered_date > bought.order_date
    where deliveries.failure = 'out-of-stock'
    group by deliveries.delivery_id
    having count(distinct bought.order_date) >= {{ policy('product_rules', 'usual_days') }}

),

dated as (

    select
        deliveries.delivery_id,
        deliveries.account_id as customer_id,
        deliveries.ordered_date,
        deliveries.promised_date,
        deliveries.delivered_date,
        deliveries.failed_date,
        coalesce(deliveries.failure = 'out-of-stock', false) as is_stockout,
        usual.delivery_id is not null as is_usual
    from deliveries
    left join usual on deliveries.delivery_id = usual.delivery_id

)

select * from dated
