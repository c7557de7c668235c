with

customers as (

    select * from {{ ref('customers') }}

),

candidates as (

    select * from {{ ref('candidates') }}

),

plans as (

    select
        as_of,
        customer_id,
        arm,
        strategy_id
    from {{ source('retention', 'plans') }}

),

{%- if var('extra_columns') %}

extras as (

    select * from {{ ref('customer_extras') }}

),
{%- endif %}

published as (

    select
        customers.*,
        {{- extra_columns(of='extras.') }}
        candidates.probability,
        candidates.score,
        candidates.tier,
        candidates.alert_level,
        candidates.main_reason,
        candidates.main_reason_en,
        candidates.main_reason_zh,
        candidates.model_version,
        plans.arm,
        plans.strategy_id,
        candidates.money_at_risk
    from customers
    left join candidates
        on
            customers.as_of = candidates.as_of
            and customers.customer_id = candidates.customer_id
    left join plans
        on
            customers.as_of = plans.as_of
            and customers.customer_id = plans.customer_id
    {%- if var('extra_columns') %}
    left join extras on customers.customer_id = extras.customer_id
    {%- endif %}

)

select * from published
