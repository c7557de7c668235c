{{ config(materialized='view') }}
with

scores as (

    select * from {{ ref('latest_scores') }}

),

labels as (

    select
        as_of,
        customer_id,
        churned
    from {{ ref('churn_labels') }}
    where is_mature

),

features as (

    select
        as_of,
        customer_id,
        recency_days
    from {{ ref('customer_features') }}

),

matured as (

    select
        scores.as_of,
        scores.customer_id,
        scores.model_version,
        scores.probability,
        labels.churned,
        features.recency_days
    from scores
    inner join labels
        on
            scores.as_of = labels.as_of
            and scores.customer_id = labels.customer_id
    inner join features
        on
            scores.as_of = features.as_of
            and scores.customer_id = features.customer_id

)

select * from matured
