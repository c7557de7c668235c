-- noqa: disable=LT02
-- the loops below write whole selects
{% set groups = known_columns('customers', policy('forecast', 'groups')) %}
with

spells as (

    select * from {{ ref('int_activity_spells') }}

),

customers as (

    select * from {{ ref('customers') }}

),

-- three years
tenures as (

    {%- for month in range(36) %}
        select {{ month }} as tenure_month
        {{ 'union all' if not loop.last }}
    {%- endfor %}

),

knowledge as (

    select
        {{ days_before(
            'least(coalesce(min(known_until), ' ~ as_of() ~ '), ' ~ as_of() ~ ')', days_until_lost()
        ) }} as known_until
    from {{ ref('feed_coverage') }}
    where source_table = '{{ 'subscriptions' if contracts_decide() else 'orders' }}'

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
            and knowledge.known_until >= {{ dbt.dateadd('month', 'tenures.tenure_month + 1', 'lives.joined_date') }}
            and (
                lives.lost_date is null
                or lives.lost_date >= {{ dbt.dateadd('month', 'tenures.tenure_month', 'lives.joined_date') }}
            )

),

members as (

    select
        'all' as group_name,
        tenure_month,
        is_lost
    from lived
    {%- for name in groups %}
    union all
    select
        concat('{{ name }}: ', customers.{{ name }}) as group_name,
        lived.tenure_month,
        lived.is_lost
    from lived
    inner join customers on lived.customer_id = customers.customer_id
    where customers.{{ name }} is not null
    {%- endfor %}

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
