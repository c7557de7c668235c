with

customers as (

    select * from {{ ref('customers') }}

),

permissions as (

    select * from {{ ref('contact_permissions') }}

),

triggers as (

    select * from {{ ref('customer_triggers') }}

),

return_rates as (

    select * from {{ ref('return_rates') }}

),

scores as (

    select * from {{ ref('latest_scores') }}

),

clusters as (

    select * from {{ ref('current_clusters') }}

),

reasons as (

    select
        as_of,
        customer_id,
        batch,
        max(reason) filter (where rank = 1) as main_reason,
        max(text_en) filter (where rank = 1) as main_reason_en,
        max(text_zh) filter (where rank = 1) as main_reason_zh,
        {{ joined_in_order('reason', 'rank', between=',') }} as reasons,
        bool_or(is_preventable) as is_preventable,
        {{ joined_in_order('text_en', 'rank') }} as why_en,
        {{ joined_in_order('text_zh', 'rank', between='；') }} as why_zh
    from {{ source('scores', 'churn_reasons') }}
    group by as_of, customer_id, batch

),

anomalies as (

    select
        as_of,
        customer_id,
        reason,
        text_en,
        text_zh
    from {{ source('signals', 'customer_anomalies') }}
    where is_anomalous

),

-- the longest span that is forecast
forecasts as (

    select
        as_of,
        customer_id,
        max(horizon_months) as forecast_months,
        {{ policy('clv', 'gross_margin') }} * max_by(expected_revenue, horizon_months) as forecast_margin
    from {{ source('forecasts', 'customer_value') }}
    group by as_of, customer_id

),

-- the company's own campaigns; what Holdfast sent stands in its operational store
contacts as (

    select
        customer_id,
        {{ contacts_within(1) }} as contacts_1d,
        {{ contacts_within(7) }} as contacts_7d,
        {{ contacts_within(30) }} as contacts_30d
    from {{ ref('int_customer_touch_days') }}
    where
        touch_date < {{ as_of() }}
        and touch_date >= {{ days_before(as_of(), 30) }}
    group by customer_id

),

joined as (

    select
        customers.as_of,
        customers.customer_id,
        scores.batch,
        scores.probability,
        scores.score,
        scores.tier,
        scores.alert_level,
        coalesce(scores.level, 'none') as level,
        scores.model_version,
        -- who is not scored is gone or has not begun: what can be lost is that they come
        coalesce(scores.probability, 1 - return_rates.return_rate) as loss_probability,
        case when scores.probability is null then return_rates.return_rate end as return_rate,
        customers.lifecycle_stage,
        customers.lifecycle_phase,
        customers.value_tier,
        customers.kind,
        customers.region,
        customers.owner,
        customers.tags as view_tags,
        clusters.cluster_id,
        clusters.cluster_kind,
        clusters.cluster_en,
        clusters.cluster_zh,
        reasons.main_reason,
        reasons.main_reason_en,
        reasons.main_reason_zh,
        coalesce(reasons.reasons, '') as reasons,
        reasons.is_preventable,
        reasons.why_en,
        reasons.why_zh,
        anomalies.reason as anomaly_reason,
        anomalies.text_en as anomaly_en,
        anomalies.text_zh as anomaly_zh,
        triggers.triggers,
        triggers.ticket_topic,
        permissions.allowed_channels,
        permissions.service_channels,
        coalesce(contacts.contacts_1d, 0) as contacts_1d,
        coalesce(contacts.contacts_7d, 0) as contacts_7d,
        coalesce(contacts.contacts_30d, 0) as contacts_30d,
        forecasts.forecast_months,
        cast(forecasts.forecast_margin as double) as forecast_margin,
        customers.value_from_now
    from customers
    inner join permissions on customers.customer_id = permissions.customer_id
    inner join triggers on customers.customer_id = triggers.customer_id
    left join return_rates on customers.lifecycle_stage = return_rates.lifecycle_stage
    left join scores
        on
            customers.as_of = scores.as_of
            and customers.customer_id = scores.customer_id
    left join clusters
        on
            customers.as_of = clusters.as_of
            and customers.customer_id = clusters.customer_id
    left join reasons
        on
            scores.as_of = reasons.as_of
            and scores.customer_id = reasons.customer_id
            and scores.batch = reasons.batch
    left join anomalies
        on
            customers.as_of = anomalies.as_of
            and customers.customer_id = anomalies.customer_id
    left join forecasts
        on
            customers.as_of = forecasts.as_of
            and customers.customer_id = forecasts.customer_id
    left join contacts on customers.customer_id = contacts.customer_id

),

tagged as (

    select
        *,
        {{ tags(of='run') }} as run_tags
    from joined

),

-- who costs more than they bring puts nothing at risk; of whom nothing is known, nothing can be said
candidates as (

    select
        *,
        trim(both ',' from concat(coalesce(view_tags, ''), ',', run_tags)) as tags,
        case
            when value_from_now is not null then loss_probability * greatest(value_from_now, 0)
        end as money_at_risk
    from tagged

)

select * from candidates
