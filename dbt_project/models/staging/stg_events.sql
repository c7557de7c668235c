-- depends_on: {{ ref('duplicate_events') }}
with

source as (

    {{ cleaned_rows('events') }}

),

localised as (

    select
        event_id,
        customer_id,
        occurred_at,
        type,
        channel,
        session_id,
        page,
        product_id,
        feature,
        dwell_seconds,
        {{ local_day('occurred_at') }} as occurred_date,
        _source,
        _batch
    from source

)

select * from localised
