with

source as (

    {{ cleaned_rows('usage') }}

),

localised as (

    select
        customer_id,
        used_at,
        metric,
        value,
        unit,
        {{ local_day('used_at') }} as used_date,
        _source,
        _batch
    from source

)

select * from localised
