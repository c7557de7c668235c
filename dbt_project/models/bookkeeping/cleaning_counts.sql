with

counted as (

    {{ rule_counts() | indent(4) }}

),

latest as (

    {{ latest_batches() | indent(4) }}

),

counts as (

    select
        counted.batch,
        counted.source,
        counted.table_name,
        counted.rule,
        counted.column_name,
        counted.action,
        counted.count_rows,
        latest.batch is not null as is_latest
    from counted
    left join latest
        on
            counted.source = latest.source
            and counted.table_name = latest.table_name
            and counted.batch = latest.batch

)

select * from counts
