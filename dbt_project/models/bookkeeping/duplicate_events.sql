{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ forget_clicks() }}',
    post_hook='{{ remember_clicks() }}'
) }}
with

clicks as (

    {{ clicks(changed_clicks(around=2)) }}

),

spaced as (

    select
        source,
        event_id,
        occurred_at,
        lag(occurred_at) over (
            partition by source, {{ alike() }} order by occurred_at, event_id
        ) as previous_at
    from clicks

),

duplicates as (

    select
        source,
        event_id,
        cast(occurred_at as date) as click_date
    from spaced
    where
        occurred_at <= {{ same_click_until('previous_at') }}
        and {{ within('occurred_at', changed_clicks(around=1)) | indent(8) }}

)

select * from duplicates
