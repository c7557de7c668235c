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

-- a feed that fell silent is known up to its last row, one that was quiet as usual up to the run; contracts are a state,
-- which is known as long as the company is seen to trade
traded as (

    select
        *,
        case
            when source_table = 'subscriptions'
                then greatest(last_date, max(case when source_table = 'orders' then last_date end) over ())
            else last_date
        end as seen_date
    from spans

),

covered as (

    select
        traded.source_table,
        traded.feed,
        traded.first_date,
        traded.last_date,
        traded.landed_date,
        traded.ended_date,
        case
            when missing.last_from > traded.last_date then missing.last_from
            when traded.ended_date is null then least(
                traded.landed_date, greatest({{ as_of() }}, {{ add_days('traded.seen_date', 1) }})
            )
        end as known_until,
        traded.count_rows,
        traded.count_rows_later,
        coalesce(missing.count_days_missing, 0) as count_days_missing
    from traded
    left join missing
        on
            traded.source_table = missing.source_table
            and traded.feed = missing.feed

)

select * from covered
