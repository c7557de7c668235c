-- depends_on: {{ ref('int_customer_order_days') }}
-- depends_on: {{ ref('int_subscriptions_dated') }}
with

known as (

    select
        as_of,
        customer_id
    from {{ ref('customer_features') }}

),

slices as (

    select distinct as_of from known

),

data_ends as (

    select {{ known_until() }} as known_until
    from {{ ref('int_customer_order_days') }}

),

outcomes as (

    {{ outcomes_by_definition() }}

)

select * from outcomes
