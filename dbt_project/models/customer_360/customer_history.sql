{{ config(
    materialized='incremental',
    incremental_strategy=snapshot_strategy(),
    unique_key='as_of',
    on_schema_change='append_new_columns'
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
        tags,
        value_from_now,
        value_from_now / years_expected as value_of_year
    from customers

)

select * from states
