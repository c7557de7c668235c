-- noqa: disable=LT02
-- the loops below write whole selects
with

customers as (

    select * from {{ ref('customers') }}

),

contracts as (

    select
        customer_id,
        max_by(plan, started_date) as plan
    from {{ ref('int_subscriptions_dated') }}
    where
        plan is not null
        and started_date < {{ as_of() }}
    group by customer_id

),

described as (

    select
        customers.*,
        contracts.plan,
        substr(cast(date_trunc('quarter', customers.known_date) as varchar), 1, 7) as cohort
    from customers
    left join contracts on customers.customer_id = contracts.customer_id

),

members as (

    {%- for name in incident_groups() %}
    select
        concat('{{ name }}: ', {{ name }}) as group_name,
        customer_id,
        known_date
    from described
    where
        {{ name }} is not null
        and known_date is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}

)

select * from members
