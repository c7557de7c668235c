with

landed as (

    {{ rows_of('usage', to_rebuild_only=true) | indent(4) }}

),

usage as (

    select
        customer_id,
        used_date as usage_date,
        used_at,
        lower(metric) as metric,
        cast(value as decimal(18, 4)) as amount
    from landed

),

days as (

    select
        customer_id,
        usage_date,
        metric,
        cast(sum(amount) as decimal(18, 4)) as amount_used,
        max_by(amount, used_at) as level_last
    from usage
    group by customer_id, usage_date, metric

)

select * from days
