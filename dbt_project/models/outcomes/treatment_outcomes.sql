with

ledger as (

    select * from {{ source('retention', 'ledger') }}

),

decisions as (

    select
        entry_id,
        as_of,
        customer_id,
        strategy_id,
        arm,
        event,
        channel,
        cost,
        score,
        model_version,
        idempotency_key,
        recorded_at,
        propensity,
        planned_strategy_id,
        effect_group,
        propensities,
        version,
        {{ add_days('as_of', churn('lead_days') + churn('horizon_days')) }} as outcome_until,
        {{ days_before('as_of', churn('lead_days') + churn('horizon_days')) }} as before_from
    from ledger
    where event = 'assigned'

),

deliveries as (

    select
        idempotency_key,
        min(happened_at) as sent_at
    from ledger
    where event = 'sent'
    group by idempotency_key

),

plans as (

    select
        as_of,
        customer_id,
        probability,
        money_at_risk
    from {{ source('retention', 'plans') }}

),

labels as (

    select * from {{ ref('churn_labels') }}

),

spending as (

    select
        decisions.entry_id,
        sum(order_days.amount_spent) filter (where order_days.order_date < decisions.as_of) as amount_spent_before,
        sum(order_days.amount_spent) filter (where order_days.order_date >= decisions.as_of) as amount_spent_after
    from decisions
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            decisions.customer_id = order_days.customer_id
            and decisions.before_from <= order_days.order_date
            and decisions.outcome_until > order_days.order_date
    group by decisions.entry_id

),

followed as (

    select
        decisions.entry_id,
        decisions.as_of,
        decisions.customer_id,
        decisions.strategy_id,
        decisions.arm,
        decisions.event,
        decisions.channel,
        decisions.cost,
        decisions.score,
        decisions.model_version,
        decisions.idempotency_key,
        decisions.recorded_at,
        decisions.propensity,
        decisions.planned_strategy_id,
        decisions.effect_group,
        decisions.propensities,
        decisions.version,
        plans.probability,
        plans.money_at_risk,
        deliveries.sent_at is not null as is_sent,
        deliveries.sent_at,
        decisions.outcome_until,
        coalesce(labels.is_mature, false) as is_mature,
        labels.churned,
        cast(coalesce(spending.amount_spent_before, 0) as double) as amount_spent_before,
        case when labels.is_mature then cast(coalesce(spending.amount_spent_after, 0) as double) end
            as amount_spent_after
    from decisions
    left join deliveries on decisions.idempotency_key = deliveries.idempotency_key
    left join labels
        on
            decisions.as_of = labels.as_of
            and decisions.customer_id = labels.customer_id
    left join spending on decisions.entry_id = spending.entry_id
    left join plans
        on
            decisions.as_of = plans.as_of
            and decisions.customer_id = plans.customer_id

)

select * from followed
