{{ config(materialized='table') }}

with

clicks as (

    {{ clicks() }}

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
        event_id
    from spaced
    where occurred_at <= {{ same_click_until('previous_at') }}

)

select * from duplicates
