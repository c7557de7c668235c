{{ config(materialized='view') }}
with

scores as (

    select * from {{ ref('latest_scores') }}

),

snapshots as (

    select
        as_of,
        customer_id,
        churned,
        recency_days,
        value_from_now
    from {{ ref('labelled_snapshots') }}

),

matured as (

    select
        scores.as_of,
        scores.customer_id,
        scores.model_version,
        scores.probability,
        snapshots.churned,
        snapshots.recency_days,
        snapshots.value_from_now
    from scores
    inner join snapshots
        on
            scores.as_of = snapshots.as_of
            and scores.customer_id = snapshots.customer_id

)

select * from matured
