with

source as (

    {{ cleaned_rows('tickets') }}

),

localised as (

    select
        ticket_id,
        customer_id,
        opened_at,
        first_response_at,
        resolved_at,
        kind,
        topic,
        channel,
        priority,
        language,
        body as body_token,
        satisfaction,
        {{ local_day('opened_at') }} as opened_date,
        {{ local_day('first_response_at') }} as first_response_date,
        {{ local_day('resolved_at') }} as resolved_date,
        _source,
        _batch
    from source

)

select * from localised
