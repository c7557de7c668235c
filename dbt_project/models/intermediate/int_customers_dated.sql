with

-- the population: a contact person belongs to a company and is none of it
customers as (

    select stg_customers.*
    from {{ ref('stg_customers') }} as stg_customers
    left join {{ ref('int_contacts') }} as contacts on stg_customers.customer_id = contacts.customer_id
    where contacts.customer_id is null

),

-- every day on which a customer was heard of, whatever came of it
days_known as (

    select
        customer_id,
        signed_up_date as day_date
    from customers
    where signed_up_date is not null
    union all
    select
        customer_id,
        order_date as day_date
    from {{ ref('int_customer_order_days') }}
    union all
    select
        customer_id,
        failure_date as day_date
    from {{ ref('int_customer_failure_days') }}
    union all
    select
        customer_id,
        started_date as day_date
    from {{ ref('int_subscriptions_dated') }}
    union all
    select
        customer_id,
        event_date as day_date
    from {{ ref('int_customer_event_days') }}
    union all
    select
        customer_id,
        opened_date as day_date
    from {{ ref('int_tickets_timed') }}
    union all
    select
        customer_id,
        touch_date as day_date
    from {{ ref('int_customer_touch_days') }}

),

earliest as (

    select
        customer_id,
        min(day_date) as known_date
    from days_known
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
