with

customers as (

    select * from {{ ref('customers') }}

),

candidates as (

    select * from {{ ref('candidates') }}

),

stated as (

    select * from {{ ref('stated_reasons') }}

),

plans as (

    select
        as_of,
        customer_id,
        arm,
        strategy_id,
        channel,
        decision_reason,
        expected_value
    from {{ source('retention', 'plans') }}

),

alerts as (

    select
        as_of,
        customer_id,
        alert_id,
        owner
    from {{ source('retention', 'alerts') }}

),

scores as (

    select * from {{ ref('latest_scores') }}

),

-- the newest days with scores that lie at least so many days back
earlier_days as (

    select
        max(scores.as_of) as previous_as_of,
        max(case when {{ dbt.datediff('scores.as_of', 'customers.as_of', 'day') }} >= 7 then scores.as_of end) as week_as_of,
        max(case when {{ dbt.datediff('scores.as_of', 'customers.as_of', 'day') }} >= 30 then scores.as_of end) as month_as_of
    from scores
    inner join customers
        on
            scores.as_of < customers.as_of
            and scores.customer_id = customers.customer_id

),

earlier_scores as (

    select
        scores.customer_id,
        {%- for name in ('previous', 'week', 'month') %}
            max(case when scores.as_of = earlier_days.{{ name }}_as_of then scores.as_of end) as {{ name }}_as_of,
            max(case when scores.as_of = earlier_days.{{ name }}_as_of then scores.score end) as {{ name }}_score,
            max(case when scores.as_of = earlier_days.{{ name }}_as_of then scores.tier end) as {{ name }}_tier
            {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from scores
    inner join earlier_days
        on
            scores.as_of = earlier_days.previous_as_of
            or scores.as_of = earlier_days.week_as_of
            or scores.as_of = earlier_days.month_as_of
    group by scores.customer_id

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
        candidates.run_tags,
        candidates.cluster_id,
        candidates.cluster_kind,
        candidates.cluster_en,
        candidates.cluster_zh,
        candidates.alert_level,
        candidates.main_reason,
        candidates.main_reason_en,
        candidates.main_reason_zh,
        candidates.reasons,
        candidates.why_en,
        candidates.why_zh,
        candidates.anomaly_en,
        candidates.anomaly_zh,
        stated.stated_reason,
        stated.stated_in,
        stated.stated_date,
        coalesce(
            candidates.is_preventable or stated.stated_reason <> 'other',
            candidates.is_preventable,
            stated.stated_reason <> 'other'
        ) as is_preventable,
        candidates.model_version,
        plans.arm,
        plans.strategy_id,
        plans.channel,
        plans.decision_reason,
        plans.expected_value,
        candidates.money_at_risk,
        candidates.forecast_months,
        candidates.forecast_margin,
        candidates.allowed_channels,
        candidates.contacts_30d,
        alerts.alert_id,
        coalesce(customers.owner, alerts.owner) as responsible,
        earlier_scores.previous_as_of,
        earlier_scores.previous_score,
        earlier_scores.previous_tier,
        earlier_scores.week_as_of,
        earlier_scores.week_score,
        earlier_scores.week_tier,
        earlier_scores.month_as_of,
        earlier_scores.month_score,
        earlier_scores.month_tier
    from customers
    left join candidates
        on
            customers.as_of = candidates.as_of
            and customers.customer_id = candidates.customer_id
    left join stated on customers.customer_id = stated.customer_id
    left join plans
        on
            customers.as_of = plans.as_of
            and customers.customer_id = plans.customer_id
    left join alerts
        on
            customers.as_of = alerts.as_of
            and customers.customer_id = alerts.customer_id
    left join earlier_scores on customers.customer_id = earlier_scores.customer_id
    {%- if var('extra_columns') %}
    left join extras on customers.customer_id = extras.customer_id
    {%- endif %}

)

select * from published
