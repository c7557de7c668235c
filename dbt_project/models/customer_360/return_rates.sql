{%- set churn = var('churn') -%}
with

knowledge as (

    select least(coalesce(min(known_until), {{ as_of() }}), {{ as_of() }}) as known_until
    from {{ ref('feed_coverage') }}
    where source_table = '{{ table_of_churn(churn) }}'

),

-- the last windows whose end is known, one after the other
snapshots as (

    {%- for number in range(1, policy('lifecycle', 'return_windows') + 1) %}
        select {{ days_before('known_until', churn.lead_days + number * churn.horizon_days) }} as as_of
        from knowledge
        {{ 'union all' if not loop.last }}
    {%- endfor %}

),

population as (

    {{ churn_population(churn, 'snapshots') | indent(4) }}

),

spans as (

    {{ churn_windows(churn, 'snapshots') | indent(4) }}

),

-- who stood outside of the population that can be lost, and so could only come back
outside as (

    select
        spans.as_of,
        spans.label_from,
        spans.label_until,
        customers.customer_id,
        {{ days_between('customers.known_date', 'spans.as_of') }} as tenure_days
    from spans
    inner join {{ ref('int_customers_dated') }} as customers on spans.as_of > customers.known_date
    left join population
        on
            spans.as_of = population.as_of
            and customers.customer_id = population.customer_id
    where
        spans.is_mature
        and population.customer_id is null

),

purchases as (

    select
        outside.as_of,
        outside.customer_id,
        min(order_days.order_date) as first_order_date,
        max(order_days.order_date) as last_order_date
    from outside
    inner join {{ ref('int_customer_order_days') }} as order_days on outside.customer_id = order_days.customer_id
    where order_days.order_date < outside.as_of
    group by outside.as_of, outside.customer_id

),

contracts as (

    select
        outside.as_of,
        outside.customer_id,
        count_if(subscriptions.ended_date is null or subscriptions.ended_date >= outside.as_of) as count_subscriptions,
        min(subscriptions.started_date) as first_contract_date,
        max(subscriptions.ended_date) as last_contract_date
    from outside
    inner join {{ ref('int_subscriptions_dated') }} as subscriptions
        on outside.customer_id = subscriptions.customer_id
    where subscriptions.started_date < outside.as_of
    group by outside.as_of, outside.customer_id

),

measured as (

    select
        outside.as_of,
        outside.customer_id,
        outside.tenure_days,
        purchases.first_order_date,
        {{ days_between('purchases.last_order_date', 'outside.as_of') }} as recency_days,
        coalesce(contracts.count_subscriptions, 0) as count_subscriptions,
        contracts.first_contract_date,
        contracts.last_contract_date
    from outside
    left join purchases
        on
            outside.as_of = purchases.as_of
            and outside.customer_id = purchases.customer_id
    left join contracts
        on
            outside.as_of = contracts.as_of
            and outside.customer_id = contracts.customer_id

),

staged as (

    select
        as_of,
        customer_id,
        {{ lifecycle_stage('as_of') }} as lifecycle_stage
    from measured

),

returned as (

    {{ churn_stayers(churn, 'outside') | indent(4) }}

),

rates as (

    select
        {{ as_of() }} as as_of,
        staged.lifecycle_stage,
        count(*) as count_customers,
        count(returned.customer_id) as count_returned,
        cast(count(returned.customer_id) as double) / count(*) as return_rate
    from staged
    left join returned
        on
            staged.as_of = returned.as_of
            and staged.customer_id = returned.customer_id
    group by staged.lifecycle_stage

)

select * from rates
