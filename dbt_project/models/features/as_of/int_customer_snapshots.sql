-- depends_on: {{ ref('int_customer_order_days') }}
-- depends_on: {{ ref('int_subscriptions_dated') }}
with

snapshots as (

    {{ snapshots() }}

),

customers as (

    select * from {{ ref('int_customers_dated') }}

),

known as (

    select
        snapshots.as_of,
        customers.customer_id,
        customers.kind,
        {{ days_between('customers.known_date', 'snapshots.as_of') }} as tenure_days
    from snapshots
    cross join customers
    where customers.known_date < snapshots.as_of

),

alive as (

    {{ churn_population(var('churn'), 'snapshots') | indent(4) }}

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
