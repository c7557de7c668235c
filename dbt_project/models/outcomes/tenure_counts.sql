-- noqa: disable=LT02
-- the loops below write whole selects
with

spells as (

    select * from {{ ref('int_activity_spells') }}

),

-- three years
tenures as (

    {%- for month in range(36) %}
        select {{ month }} as tenure_month
        {{ 'union all' if not loop.last }}
    {%- endfor %}

),

knowledge as (

    {{ membership_known_until() | indent(4) }}

),

lives as (

    select
        customer_id,
        min(active_from) as joined_date,
        min(case when is_lost then active_until end) as lost_date
    from spells
    group by customer_id
    {%- if not contracts_decide() %}
    -- who is first seen while the history begins may have joined long before
    having min(active_from) >= {{ add_days(history_start(), policy('lifecycle', 'active_days')) }}
    {%- endif %}

),

-- the months of each customer that are seen whole: a contract is older than the history, its losses before are not seen
lived as (

    select
        lives.customer_id,
        tenures.tenure_month,
        coalesce(
            lives.lost_date < {{ dbt.dateadd('month', 'tenures.tenure_month + 1', 'lives.joined_date') }}, false
        ) as is_lost
    from lives
    cross join knowledge
    inner join tenures
        on
            {{ history_start() }} <= {{ dbt.dateadd('month', 'tenures.tenure_month', 'lives.joined_date') }}
            and {{ days_before('knowledge.known_until', days_until_lost()) }}
            >= {{ dbt.dateadd('month', 'tenures.tenure_month + 1', 'lives.joined_date') }}
            and (
                lives.lost_date is null
                or lives.lost_date >= {{ dbt.dateadd('month', 'tenures.tenure_month', 'lives.joined_date') }}
            )

),

members as (

    {{ by_forecast_group('lived', ['tenure_month', 'is_lost']) | indent(4) }}

),

counted as (

    select
        group_name,
        cast(tenure_month as bigint) as tenure_month,
        cast(count(*) as bigint) as count_at_risk,
        cast(count_if(is_lost) as bigint) as count_lost
    from members
    group by group_name, tenure_month

)

select * from counted
