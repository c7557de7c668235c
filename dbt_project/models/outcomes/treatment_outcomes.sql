-- depends_on: {{ ref('int_subscriptions_dated') }}
-- depends_on: {{ ref('feed_pauses') }}
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
        {{ add_days('as_of', churn('lead_days') + churn('horizon_days')) }} as outcome_until
    from ledger
    where event = 'assigned'

),

receipts as (

    select
        idempotency_key,
        min(happened_at) filter (where event = 'sent') as sent_at,
        min(happened_at) filter (where event = 'opened') as opened_at,
        min(happened_at) filter (where event = 'redeemed') as used_at
    from ledger
    where event in ('sent', 'opened', 'redeemed')
    group by idempotency_key

),

delivered as (

    select
        decisions.*,
        receipts.sent_at,
        receipts.opened_at,
        receipts.used_at,
        {{ local_day('receipts.sent_at') }} as sent_date,
        coalesce({{ local_day('receipts.sent_at') }} < decisions.outcome_until, false) as is_treated
    from decisions
    left join receipts on decisions.idempotency_key = receipts.idempotency_key

),

-- as assigned the window opens on the day of the plan, as treated on the day on which the message left
opened as (

    select
        *,
        case when is_treated then sent_date else as_of end as window_from
    from delivered

),

openings as (

    select
        as_of,
        customer_id
    from opened
    union distinct
    select
        window_from as as_of,
        customer_id
    from opened

),

snapshots as (

    select distinct as_of from openings

),

outcomes as (

    {{ outcomes_of_openings('openings') | indent(4) }}

),

-- as many days before the plan as the window has
spending_before as (

    select
        decisions.entry_id,
        sum(order_days.amount_spent) as amount_spent
    from decisions
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            decisions.customer_id = order_days.customer_id
            and {{ days_before('decisions.as_of', churn('lead_days') + churn('horizon_days')) }} <= order_days.order_date
            and decisions.as_of > order_days.order_date
    group by decisions.entry_id

),

plans as (

    select
        as_of,
        customer_id,
        probability,
        money_at_risk,
        main_reason
    from {{ source('retention', 'plans') }}

),

history as (

    select
        as_of,
        customer_id,
        value_tier,
        value_from_now,
        value_of_year
    from {{ ref('customer_history') }}

),

labels as (

    select * from {{ ref('churn_labels') }}

),

known as (

    {{ revenue_known_until() | indent(4) }}

),

-- whose 12 months are over
years as (

    select
        decisions.entry_id,
        decisions.as_of,
        decisions.customer_id
    from decisions
    cross join known
    where {{ add_days('decisions.as_of', 365) }} <= known.known_until

),

year_orders as (

    select
        years.entry_id,
        sum(order_days.amount_spent) as amount
    from years
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            years.customer_id = order_days.customer_id
            and years.as_of <= order_days.order_date
            and {{ add_days('years.as_of', 365) }} > order_days.order_date
    group by years.entry_id

),

year_contracts as (

    select
        years.entry_id,
        sum(
            subscriptions.amount_monthly * 12 / 365.0
            * {{ days_between(
                'greatest(subscriptions.started_date, years.as_of)',
                'least(coalesce(subscriptions.ended_date, ' ~ add_days('years.as_of', 365) ~ '), ' ~ add_days('years.as_of', 365) ~ ')'
            ) }}
        ) as amount
    from years
    inner join {{ ref('int_subscriptions_dated') }} as subscriptions
        on
            years.customer_id = subscriptions.customer_id
            and {{ add_days('years.as_of', 365) }} > subscriptions.started_date
            and (subscriptions.ended_date is null or years.as_of < subscriptions.ended_date)
    group by years.entry_id

),

year_tickets as (

    select
        years.entry_id,
        count(*) as count_tickets
    from years
    inner join {{ ref('int_tickets_timed') }} as tickets
        on
            years.customer_id = tickets.customer_id
            and years.as_of <= tickets.opened_date
            and {{ add_days('years.as_of', 365) }} > tickets.opened_date
    group by years.entry_id

),

measured as (

    select
        years.entry_id,
        cast(
            {{ policy('clv', 'gross_margin') }} * (
                {{ 0 if contracts_decide() else policy('clv', 'revenue_share') }} * coalesce(year_orders.amount, 0)
                + coalesce(year_contracts.amount, 0)
            ) - {{ policy('clv', 'cost_per_ticket') }} * coalesce(year_tickets.count_tickets, 0) as double
        ) as value_12_months
    from years
    left join year_orders on years.entry_id = year_orders.entry_id
    left join year_contracts on years.entry_id = year_contracts.entry_id
    left join year_tickets on years.entry_id = year_tickets.entry_id

),

followed as (

    select
        opened.entry_id,
        opened.as_of,
        opened.customer_id,
        opened.strategy_id,
        opened.arm,
        opened.event,
        opened.channel,
        opened.cost,
        opened.score,
        opened.model_version,
        opened.idempotency_key,
        opened.recorded_at,
        opened.propensity,
        opened.planned_strategy_id,
        opened.effect_group,
        opened.propensities,
        opened.version,
        plans.probability,
        plans.money_at_risk,
        plans.main_reason,
        history.value_tier,
        coalesce(history.value_from_now, plans.money_at_risk / nullif(plans.probability, 0)) as value_from_now,
        opened.sent_at is not null as is_sent,
        opened.sent_at,
        opened.is_treated,
        opened.opened_at is not null as is_opened,
        opened.used_at is not null as is_used,
        opened.outcome_until,
        coalesce(assigned.is_mature, false) as is_mature,
        labels.churned,
        assigned.retained,
        assigned.has_bought,
        cast(coalesce(spending_before.amount_spent, 0) as double) as amount_spent_before,
        assigned.amount_spent as amount_spent_after,
        opened.window_from as treated_from,
        {{ add_days('opened.window_from', churn('lead_days') + churn('horizon_days')) }} as treated_until,
        received.retained as retained_as_treated,
        received.amount_spent as amount_spent_as_treated,
        case
            when measured.entry_id is not null then measured.value_12_months
            when assigned.retained then greatest(history.value_of_year, 0)
            when not assigned.retained then 0
        end as value_12_months,
        case
            when measured.entry_id is not null then 'measured'
            when assigned.retained is not null and history.value_of_year is not null then 'expected'
        end as value_basis
    from opened
    left join outcomes as assigned
        on
            opened.as_of = assigned.as_of
            and opened.customer_id = assigned.customer_id
    left join outcomes as received
        on
            opened.window_from = received.as_of
            and opened.customer_id = received.customer_id
    left join labels
        on
            opened.as_of = labels.as_of
            and opened.customer_id = labels.customer_id
    left join plans
        on
            opened.as_of = plans.as_of
            and opened.customer_id = plans.customer_id
    left join history
        on
            opened.as_of = history.as_of
            and opened.customer_id = history.customer_id
    left join spending_before on opened.entry_id = spending_before.entry_id
    left join measured on opened.entry_id = measured.entry_id

)

select * from followed
