with

order_lines as (

    {{ rows_of('order_lines', to_rebuild_only=true) | indent(4) }}

),

days as (

    select
        customer_id,
        ordered_date as order_date,
        product_id,
        department,
        category,
        brand,
        count(*) as count_lines,
        cast(sum(amount) as decimal(18, 4)) as amount_spent,
        cast(sum(discount) as decimal(18, 4)) as amount_discount
    from order_lines
    group by customer_id, ordered_date, product_id, department, category, brand

)

select * from days
