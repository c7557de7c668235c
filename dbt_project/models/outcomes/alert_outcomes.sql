-- noqa: disable=LT02
-- a company reads orders or contracts
-- depends_on: {{ ref('int_subscriptions_dated') }}
with

alerts as (

    select * from {{ source('retention', 'alert_answers') }}
    where as_of <= {{ as_of() }}

),

decisions as (

    select
        as_of,
        customer_id,
        arm,
        sent_at,
        is_treated,
        treated_from,
        case when outcome_until <= {{ as_of() }} then value_12_months end as value_12_months
    from {{ ref('treatment_outcomes') }}

),

labels as (

    select
        as_of,
        customer_id,
        label_until,
        churned
    from {{ ref('churn_labels') }}
    where
        is_mature
        and label_until <= {{ as_of() }}

),

known as (

    select
        alerts.alert_id,
        alerts.as_of,
        alerts.customer_id,
        labels.label_until,
        labels.churned
    from alerts
    inner join labels
        on
            alerts.as_of = labels.as_of
            and alerts.customer_id = labels.customer_id

),

-- by any plan, from the alert to the end of the window
messages as (

    select
        known.alert_id,
        bool_or(decisions.is_treated) as is_treated
    from known
    inner join decisions
        on
            known.customer_id = decisions.customer_id
            and known.as_of <= decisions.treated_from
            and known.label_until > decisions.treated_from
    group by known.alert_id

),

losses as (

    select
        known.alert_id,
        {%- if table_of_churn(var('churn')) == 'orders' %}
        {{ add_days('max(order_days.order_date)', churn('active_within_days')) }} as left_date
        {%- else %}
        min(subscriptions.ended_date) as left_date
        {%- endif %}
    from known
    {%- if table_of_churn(var('churn')) == 'orders' %}
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            known.customer_id = order_days.customer_id
            and known.label_until > order_days.order_date
    {%- else %}
    inner join {{ ref('int_subscriptions_dated') }} as subscriptions
        on
            known.customer_id = subscriptions.customer_id
            and known.as_of <= subscriptions.ended_date
            and known.label_until > subscriptions.ended_date
    {%- endif %}
    where known.churned
    group by known.alert_id

),

followed as (

    select
        alerts.alert_id,
        alerts.as_of,
        alerts.customer_id,
        alerts.level,
        alerts.main_reason,
        alerts.is_replay,
        alerts.raised_at,
        alerts.answered_at,
        decisions.sent_at,
        alerts.is_missed,
        alerts.is_folded,
        alerts.feedback,
        coalesce(decisions.arm, 'none') as arm,
        coalesce(messages.is_treated, false) as is_treated,
        known.churned,
        losses.left_date,
        {{ days_between('alerts.as_of', 'losses.left_date') }} as days_ahead,
        decisions.value_12_months
    from alerts
    left join decisions
        on
            alerts.as_of = decisions.as_of
            and alerts.customer_id = decisions.customer_id
    left join known on alerts.alert_id = known.alert_id
    left join messages on alerts.alert_id = messages.alert_id
    left join losses on alerts.alert_id = losses.alert_id

)

select * from followed
