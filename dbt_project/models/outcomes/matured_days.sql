{{ config(materialized='view') }}
with

labelled as (

    select distinct as_of from {{ ref('churn_labels') }}
    where is_mature

),

scored as (

    select distinct as_of from {{ source('scores', 'churn_scores') }}

),

matured as (

    select labelled.as_of
    from labelled
    inner join scored on labelled.as_of = scored.as_of

)

select * from matured
