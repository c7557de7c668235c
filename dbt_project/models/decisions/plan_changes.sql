with

plans as (

    select
        as_of,
        customer_id,
        arm,
        strategy_id,
        cost,
        expected_value,
        decision_reason
    from {{ source('retention', 'plans') }}
    where as_of <= {{ as_of() }}

),

former_day as (

    select max(as_of) as previous_as_of
    from plans
    where as_of < {{ as_of() }}

),

today as (

    select * from plans
    where as_of = {{ as_of() }}

),

former as (

    select plans.*
    from plans
    inner join former_day on plans.as_of = former_day.previous_as_of

),

paired as (

    select
        coalesce(today.customer_id, former.customer_id) as customer_id,
        coalesce(today.arm = 'treated', false) as is_contacted,
        coalesce(former.arm = 'treated', false) as was_contacted,
        today.strategy_id,
        today.decision_reason,
        today.cost,
        today.expected_value,
        former.strategy_id as previous_strategy_id,
        former.decision_reason as previous_reason,
        former.cost as previous_cost,
        former.expected_value as previous_expected_value
    from today
    full outer join former on today.customer_id = former.customer_id

),

changed as (

    select
        {{ as_of() }} as as_of,
        former_day.previous_as_of,
        paired.customer_id,
        case
            when not paired.was_contacted then 'in'
            when not paired.is_contacted then 'out'
            when paired.strategy_id <> paired.previous_strategy_id then 'other_strategy'
            else 'stays'
        end as plan_change,
        paired.strategy_id,
        paired.decision_reason,
        paired.cost,
        paired.expected_value,
        paired.previous_strategy_id,
        paired.previous_reason,
        paired.previous_cost,
        paired.previous_expected_value
    from paired
    cross join former_day
    where
        paired.is_contacted
        or paired.was_contacted

)

select * from changed
