with

scores as (

    select * from {{ ref('latest_scores') }}

),

customers as (

    select
        customer_id,
        clv,
        value_from_now,
        value_tier,
        owner
    from {{ ref('customers') }}

),

reasons as (

    select
        as_of,
        customer_id,
        batch,
        max(reason) filter (where rank = 1) as main_reason,
        max(text_en) filter (where rank = 1) as main_reason_en,
        max(text_zh) filter (where rank = 1) as main_reason_zh,
        {{ joined_in_order('text_en', 'rank') }} as why_en,
        {{ joined_in_order('text_zh', 'rank') }} as why_zh
    from {{ source('scores', 'churn_reasons') }}
    group by as_of, customer_id, batch

),

candidates as (

    select
        scores.as_of,
        scores.customer_id,
        scores.batch,
        scores.probability,
        scores.score,
        scores.tier,
        scores.alert_level,
        scores.level,
        scores.model_version,
        reasons.main_reason,
        reasons.main_reason_en,
        reasons.main_reason_zh,
        reasons.why_en,
        reasons.why_zh,
        customers.clv,
        customers.value_from_now,
        customers.value_tier,
        customers.owner,
        -- who costs more than they bring puts nothing at risk; of whom nothing is known, nothing can be said
        case
            when customers.value_from_now is not null then scores.probability * greatest(customers.value_from_now, 0)
        end as money_at_risk
    from scores
    left join reasons
        on
            scores.as_of = reasons.as_of
            and scores.customer_id = reasons.customer_id
            and scores.batch = reasons.batch
    left join customers on scores.customer_id = customers.customer_id

)

select * from candidates
