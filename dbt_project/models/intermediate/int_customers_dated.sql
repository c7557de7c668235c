with

customers as (

    select * from {{ ref('stg_customers') }}

),

first_days as (

    select
        customer_id,
        signed_up_date as first_date
    from customers
    where signed_up_date is not null
    union all
    select
        customer_id,
        min(ordered_date) as first_date
    from {{ ref('stg_orders') }}
    group by customer_id
    union all
    select
        customer_id,
        min(started_date) as first_date
    from {{ ref('stg_subscriptions') }}
    group by customer_id
    union all
    select
        customer_id,
        min(occurred_date) as first_date
    from {{ ref('stg_events') }}
    group by customer_id
    union all
    select
        customer_id,
        min(opened_date) as first_date
    from {{ ref('stg_tickets') }}
    group by customer_id
    union all
    select
        customer_id,
        min(touched_date) as first_date
    from {{ ref('stg_touches') }}
    group by customer_id

),

earliest as (

    select
        customer_id,
        min(first_date) as known_date
    from first_days
    group by customer_id

),

dated as (

    select
        customers.customer_id,
        coalesce(customers.kind, 'person') as kind,
        customers.signed_up_date,
        earliest.known_date
    from customers
    left join earliest on customers.customer_id = earliest.customer_id

)

select * from dated
