with

counted as (

    {{ rows_by_batch_and_day() | indent(4) }}

),

batches as (

    select
        source_table,
        feed,
        batch,
        min(landed_at) as landed_at,
        max(newest_at) as newest_at
    from counted
    group by source_table, feed, batch

),

-- how far a feed's history was known when a batch came: what happened before is late
followed as (

    select
        source_table,
        feed,
        batch,
        max(newest_at) over (
            partition by source_table, feed
            order by landed_at, batch
            rows between unbounded preceding and 1 preceding
        ) as known_until
    from batches

),

placed as (

    select
        counted.source_table,
        counted.feed,
        counted.batch,
        counted.day_date,
        counted.count_rows,
        counted.landed_at,
        followed.known_until
    from counted
    inner join followed
        on
            counted.source_table = followed.source_table
            and counted.feed = followed.feed
            and counted.batch = followed.batch

)

select * from placed
