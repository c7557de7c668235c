with

-- the population: a contact person belongs to a company and is none of it
customers as (

    select stg_customers.*
    from {{ ref('stg_customers') }} as stg_customers
    left join {{ ref('int_contacts') }} as contacts on stg_customers.customer_id = contacts.customer_id
    where contacts.customer_id is null

),

-- the first moment, and then its day: one conversion for each customer and not one for each order
first_orders as (

    select
        coalesce(contacts.account_id, orders.customer_id) as customer_id,
        min(orders.ordered_at) as first_ordered_at
    from {{ ref('stg_orders') }} as orders
    left join {{ ref('int_contacts') }} as contacts on orders.customer_id = contacts.customer_id
    group by coalesce(contacts.account_id, orders.customer_id)

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
        {{ local_day('first_ordered_at') }} as first_date
    from first_orders
    union all
    select
        customer_id,
        min(started_date) as first_date
    from {{ ref('int_subscriptions_dated') }}
    group by customer_id
    union all
    select
        customer_id,
        min(event_date) as first_date
    from {{ ref('int_customer_event_days') }}
    group by customer_id
    union all
    select
        customer_id,
        min(opened_date) as first_date
    from {{ ref('int_tickets_timed') }}
    group by customer_id
    union all
    select
        customer_id,
        min(touch_date) as first_date
    from {{ ref('int_customer_touch_days') }}
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
