-- noqa: disable=LT02
-- the loop below writes whole selects
with

decisions as (

    select
        *,
        case when arm = 'holdout' then 'holdout' else 'treated' end as assigned_arm
    from {{ ref('treatment_outcomes') }}

),

periods as (

    {%- for period in ('day', 'week', 'month') %}
    select
        '{{ period }}' as period,
        cast({{ dbt.date_trunc(period, 'as_of') }} as date) as period_start,
        decisions.*
    from decisions
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- each decision counts for its strategy and group, and for all of them
scopes as (

    select
        true as is_strategy,
        true as is_group
    union all
    select
        true as is_strategy,
        false as is_group
    union all
    select
        false as is_strategy,
        true as is_group
    union all
    select
        false as is_strategy,
        false as is_group

),

scoped as (

    select
        periods.*,
        case when scopes.is_strategy then periods.planned_strategy_id else 'all' end as scope_strategy,
        case when scopes.is_group then periods.effect_group else 'all' end as scope_group
    from periods
    cross join scopes

),

counted as (

    select
        period,
        period_start,
        scope_strategy as strategy_id,
        scope_group as effect_group,
        assigned_arm as arm,
        cast(count(*) as bigint) as count_decisions,
        cast(count_if(is_sent) as bigint) as count_sent,
        cast(count_if(is_treated) as bigint) as count_treated,
        cast(count_if(is_opened) as bigint) as count_opened,
        cast(count_if(is_used) as bigint) as count_used,
        cast(sum(case when is_sent then cost else 0 end) as double) as amount_cost,
        cast(count(retained) filter (where outcome_until <= {{ as_of() }}) as bigint) as count_known,
        cast(count_if(retained and outcome_until <= {{ as_of() }}) as bigint) as count_retained,
        cast(count_if(has_bought and outcome_until <= {{ as_of() }}) as bigint) as count_repurchased,
        cast(sum(amount_spent_after) filter (where outcome_until <= {{ as_of() }}) as double) as amount_spent,
        cast(sum(amount_spent_after * amount_spent_after) filter (where outcome_until <= {{ as_of() }}) as double)
            as amount_spent_squared,
        cast(count(value_12_months) filter (where outcome_until <= {{ as_of() }}) as bigint) as count_valued,
        cast(sum(value_12_months) filter (where outcome_until <= {{ as_of() }}) as double) as value_12_months,
        cast(sum(value_12_months * value_12_months) filter (where outcome_until <= {{ as_of() }}) as double)
            as value_12_months_squared,
        cast(count_if(value_basis = 'measured' and outcome_until <= {{ as_of() }}) as bigint) as count_value_measured
    from scoped
    where
        scope_strategy is not null
        and scope_group is not null
    group by period, period_start, scope_strategy, scope_group, assigned_arm

)

select * from counted
