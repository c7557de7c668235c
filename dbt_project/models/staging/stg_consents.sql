with

source as (

    {{ cleaned_rows('consents') }}

),

localised as (

    select
        customer_id,
        purpose,
        channel,
        is_granted,
        changed_at,
        {{ local_day('changed_at') }} as changed_date,
        _source,
        _batch
    from source

)

select * from localised
