with

slices as (

    {{ slices() }}

),

customers as (

    select * from {{ ref('int_customers_dated') }}

),

known as (

    select
        slices.as_of,
        customers.customer_id,
        customers.kind,
        {{ days_between('customers.known_date', 'slices.as_of') }} as tenure_days
    from slices
    cross join customers
    where customers.known_date < slices.as_of

),

buyers as (

    select
        slices.as_of,
        order_days.customer_id
    from slices
    cross join {{ ref('int_customer_order_days') }} as order_days
    where
        order_days.order_date < slices.as_of
        and order_days.order_date >= {{ days_before('slices.as_of', churn('active_within_days')) }}

),

subscribers as (

    select
        slices.as_of,
        subscriptions.customer_id
    from slices
    cross join {{ ref('int_subscriptions_dated') }} as subscriptions
    where
        subscriptions.started_date < slices.as_of
        and (subscriptions.ended_date is null or subscriptions.ended_date >= slices.as_of)

),

alive as (

    select * from buyers
    where '{{ churn('definition') }}' = 'inactivity'
    union distinct
    select * from subscribers
    where '{{ churn('definition') }}' = 'contract_end'

),

marked as (

    select
        known.as_of,
        known.customer_id,
        known.kind,
        cast(known.tenure_days as bigint) as tenure_days,
        alive.customer_id is not null as is_eligible
    from known
    left join alive
        on
            known.as_of = alive.as_of
            and known.customer_id = alive.customer_id

)

select * from marked
