with

source as (

    {{ cleaned_rows('feedback') }}

),

localised as (

    select
        feedback_id,
        customer_id,
        given_at,
        kind,
        rating,
        language,
        body as body_token,
        product_id,
        {{ local_day('given_at') }} as given_date,
        _source,
        _batch
    from source

)

select * from localised
