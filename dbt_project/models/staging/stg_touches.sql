with

source as (

    {{ cleaned_rows('touches') }}

),

localised as (

    select
        touch_id,
        customer_id,
        campaign_id,
        touched_at,
        channel,
        is_opened,
        is_clicked,
        {{ local_day('touched_at') }} as touched_date,
        _source,
        _batch
    from source

)

select * from localised
