{{ config(post_hook='{{ drop_outdated_days() }}') }}
with

day_tables as (

    {{ declared_day_tables() | indent(4) }}

),

landed as (

    select * from {{ ref('days_landed') }}

),

built as (

    select * from {{ ref('days_built') }}

),

present as (

    select
        day_tables.day_table,
        landed.day_date,
        concat(
            day_tables.made_by,
            ' ',
            cast(coalesce(sum(landed.made_from) filter (where day_tables.is_main), 0) as varchar),
            ' ',
            cast(coalesce(sum(landed.made_from) filter (where not day_tables.is_main), 0) as varchar)
        ) as made_from
    from day_tables
    inner join landed on day_tables.source_table = landed.source_table
    group by day_tables.day_table, landed.day_date, day_tables.made_by

),

-- due is what was never built, what was built from other rows, and what was built in another way
compared as (

    select
        present.day_table,
        present.day_date,
        present.made_from,
        coalesce(built.made_from <> present.made_from, true) as must_rebuild
    from present
    left join built
        on
            present.day_table = built.day_table
            and present.day_date = built.day_date

)

select * from compared
