-- depends_on: {{ ref('int_customer_order_days') }}
-- depends_on: {{ ref('int_subscriptions_dated') }}
with

-- who was delivered once and is no more has not left by that: what became of such customers cannot be known
customers as (

    select customer_id from {{ ref('int_customers_dated') }}

),

known as (

    select
        features.as_of,
        features.customer_id
    from {{ ref('customer_features') }} as features
    inner join customers on features.customer_id = customers.customer_id

),

snapshots as (

    select distinct as_of from known

),

outcomes as (

    {{ outcomes_by_definition() }}

)

select * from outcomes
