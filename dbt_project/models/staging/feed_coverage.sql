{{ config(materialized='table') }}
with

counted as (

    select * from {{ ref('feed_days') }}

),

feeds as (

    select
        source_table,
        feed,
        {{ local_day('max(landed_at)') }} as landed_date
    from counted
    group by source_table, feed

),

ended as (

    {{ ended_feeds() | indent(4) }}

),

spans as (

    select
        counted.source_table,
        counted.feed,
        feeds.landed_date,
        max(ended.last_date) as ended_date,
        min(counted.day_date) filter (where counted.day_date < feeds.landed_date) as first_date,
        max(counted.day_date) filter (where counted.day_date < feeds.landed_date) as last_date,
        cast(sum(counted.count_rows) as bigint) as count_rows,
        cast(coalesce(sum(counted.count_rows) filter (where counted.day_date > feeds.landed_date), 0) as bigint)
            as count_rows_later
    from counted
    inner join feeds
        on
            counted.source_table = feeds.source_table
            and counted.feed = feeds.feed
    left join ended
        on
            counted.source_table = ended.source_table
            and counted.feed = ended.feed
    group by counted.source_table, counted.feed, feeds.landed_date

),

missing as (

    select
        source_table,
        feed,
        cast(sum(count_days) as bigint) as count_days_missing,
        max(paused_from) as last_from
    from {{ ref('feed_pauses') }}
    where is_missing
    group by source_table, feed

),

-- a feed that fell silent is known up to its last row, one that was quiet as usual up to the run
covered as (

    select
        spans.source_table,
        spans.feed,
        spans.first_date,
        spans.last_date,
        spans.landed_date,
        spans.ended_date,
        case
            when missing.last_from > spans.last_date then missing.last_from
            when spans.ended_date is null then least(
                spans.landed_date, greatest({{ as_of() }}, {{ add_days('spans.last_date', 1) }})
            )
        end as known_until,
        spans.count_rows,
        spans.count_rows_later,
        coalesce(missing.count_days_missing, 0) as count_days_missing
    from spans
    left join missing
        on
            spans.source_table = missing.source_table
            and spans.feed = missing.feed

)

select * from covered
