with

decisions as (

    select
        entry_id,
        as_of,
        customer_id,
        coalesce(planned_strategy_id, strategy_id) as strategy_id,
        case when arm = 'holdout' then 'holdout' else 'treated' end as arm,
        outcome_until
    from {{ ref('treatment_outcomes') }}
    where is_mature

),

touches as (

    select
        customer_id,
        touch_date,
        count_touches
    from {{ ref('int_customer_touch_days') }}
    where touch_date < {{ as_of() }}

),

reached as (

    select
        decisions.entry_id,
        sum(touches.count_touches) as count_touches
    from decisions
    inner join touches
        on
            decisions.customer_id = touches.customer_id
            and decisions.as_of <= touches.touch_date
            and decisions.outcome_until > touches.touch_date
    group by decisions.entry_id

),

scoped as (

    select
        strategy_id,
        arm,
        entry_id
    from decisions
    union all
    select
        'all' as strategy_id,
        arm,
        entry_id
    from decisions

),

counted as (

    select
        scoped.strategy_id,
        scoped.arm,
        cast(count(*) as bigint) as count_decisions,
        cast(count(reached.entry_id) as bigint) as count_reached,
        cast(coalesce(sum(reached.count_touches), 0) as bigint) as count_touches
    from scoped
    left join reached on scoped.entry_id = reached.entry_id
    where {{ 'true' if is_connected('touches') else 'false' }}
    group by scoped.strategy_id, scoped.arm

)

select * from counted
