with

orders as (

    select * from {{ ref('stg_orders') }}

),

days as (

    select
        customer_id,
        ordered_date as failure_date,
        count(*) as count_failures
    from orders
    where status = 'failed'
    group by customer_id, ordered_date

)

select * from days
