with

source as (

    {{ cleaned_rows('campaigns') }}

),

localised as (

    select
        campaign_id,
        name,
        channel,
        started_at,
        ended_at,
        cast(cost as decimal(18, 4)) as cost,
        {{ local_day('started_at') }} as started_date,
        {{ local_day('ended_at') }} as ended_date,
        _source,
        _batch
    from source

)

select * from localised
