with

product_days as (

    select * from {{ ref('int_customer_product_days') }}
    where
        department is not null
        and {{ must_rebuild('order_date') }}

),

days as (

    select
        customer_id,
        order_date,
        department,
        cast(sum(count_lines) as bigint) as count_lines,
        cast(sum(amount_spent) as decimal(18, 4)) as amount_spent
    from product_days
    group by customer_id, order_date, department

)

select * from days
