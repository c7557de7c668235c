{{ config(
    materialized='incremental',
    incremental_strategy=snapshot_strategy(),
    unique_key='as_of',
    on_schema_change='fail'
) }}
with

customers as (

    select * from {{ ref('customers') }}

),

states as (

    select
        as_of,
        customer_id,
        lifecycle_stage,
        value_tier,
        rfm_grade,
        rfm_score,
        clv,
        tags
    from customers

)

select * from states
