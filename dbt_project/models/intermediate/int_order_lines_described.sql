{{ config(materialized='view') }}
with

order_lines as (

    select * from {{ ref('stg_order_lines') }}

),

products as (

    select * from {{ ref('stg_products') }}

),

described as (

    select
        order_lines.customer_id,
        order_lines.ordered_at,
        order_lines.ordered_date,
        order_lines.product_id,
        products.department,
        products.category,
        products.brand,
        coalesce(order_lines.amount, 0) as amount,
        coalesce(order_lines.discount, 0) as discount
    from order_lines
    left join products on order_lines.product_id = products.product_id
    where
        order_lines.product_id is not null
        and not order_lines.is_returned

)

select * from described
