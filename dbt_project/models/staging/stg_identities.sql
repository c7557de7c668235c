with

source as (

    {{ cleaned_rows('identities') }}

),

localised as (

    select
        customer_id,
        kind,
        value,
        is_verified,
        seen_at,
        {{ local_day('seen_at') }} as seen_date,
        _source,
        _batch
    from source

)

select * from localised
