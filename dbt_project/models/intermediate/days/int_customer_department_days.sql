with

product_days as (

    select * from {{ ref('int_customer_product_days') }}
    where
        department is not null
        and {{ is_due('order_date') }}

),

days as (

    select
        customer_id,
        order_date,
        department,
        sum(count_lines) as count_lines,
        sum(amount_spent) as amount_spent
    from product_days
    group by customer_id, order_date, department

)

select * from days
