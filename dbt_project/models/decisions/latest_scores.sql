with

scores as (

    select * from {{ source('scores', 'churn_scores') }}

),

-- a promotion within a day scores the day again, in a batch of its own
latest as (

    select
        as_of,
        customer_id,
        batch,
        probability,
        score,
        tier,
        alert_level,
        level,
        model_version
    from scores
    qualify batch = max(batch) over (partition by as_of)

)

select * from latest
