{{ config(materialized='table') }}
with

counted as (

    {%- for table, moment in tables_by_day().items() %}
    {%- set is_last = loop.last %}
    {%- for schema in fed_by(table) %}
        select
            '{{ table }}' as source_table,
            '{{ schema }}' as feed,
            _batch as batch,
            cast({{ moment }} as date) as day_date,
            count(*) as count_rows,
            max(_landed_at) as landed_at,
            max({{ moment }}) as newest_at
        from {{ schema }}.{{ table }}
        group by _batch, cast({{ moment }} as date)
        {{ 'union all' if not (is_last and loop.last) }}
    {%- endfor %}
    {%- else %}
        select
            cast(null as varchar) as source_table,
            cast(null as varchar) as feed,
            cast(null as varchar) as batch,
            cast(null as date) as day_date,
            cast(null as bigint) as count_rows,
            cast(null as timestamp) as landed_at,
            cast(null as timestamp) as newest_at
        where 1 = 0
    {%- endfor %}

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
