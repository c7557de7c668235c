-- noqa: disable=LT02
-- the loops below write whole selects
{% set feed = 'subscriptions' if contracts_decide() else 'orders' %}
{% set groups = known_columns('customers', policy('forecast', 'groups')) %}
with

spells as (

    select * from {{ ref('int_activity_spells') }}

),

customers as (

    select * from {{ ref('customers') }}

),

-- the first days of months, the last two years of them
months as (

    {%- for months_back in range(25) %}
        select cast({{ dbt.dateadd('month', -months_back, dbt.date_trunc('month', as_of())) }} as date) as month_date
        {{ 'union all' if not loop.last }}
    {%- endfor %}

),

knowledge as (

    {{ membership_known_until() | indent(4) }}

),

-- of a day who is active is known once the feed reaches it and no day that decides is missing
seen as (

    select months.month_date
    from months
    cross join knowledge
    left join {{ ref('feed_pauses') }} as missing
        on
            missing.is_missing
            and missing.source_table = '{{ feed }}'
            and months.month_date > missing.paused_from
            and missing.paused_until > {{ days_before('months.month_date', policy('lifecycle', 'active_days')) }}
    where months.month_date <= knowledge.known_until
    group by months.month_date
    having count(missing.feed) = 0

),

joined as (

    select
        customer_id,
        cast({{ dbt.date_trunc('month', 'min(active_from)') }} as date) as cohort_month
    from spells
    group by customer_id
    having min(active_from) >= {{ history_start() }}

),

-- counted once by all attributes together, so that customers meet the months once
counted as (

    select
        {%- for name in groups %}
        customers.{{ name }},
        {%- endfor %}
        joined.cohort_month,
        seen.month_date,
        count(*) as count_joined,
        count(spells.customer_id) as count_active
    from joined
    inner join seen on joined.cohort_month < seen.month_date
    left join customers on joined.customer_id = customers.customer_id
    left join spells
        on
            joined.customer_id = spells.customer_id
            and seen.month_date > spells.active_from
            and seen.month_date <= spells.active_until
    group by
        {%- for name in groups %}
        customers.{{ name }},
        {%- endfor %}
        joined.cohort_month,
        seen.month_date

),

grouped as (

    select
        'all' as group_name,
        cohort_month,
        month_date,
        count_joined,
        count_active
    from counted
    {%- for name in groups %}
    union all
    select
        concat('{{ name }}: ', {{ name }}) as group_name,
        cohort_month,
        month_date,
        count_joined,
        count_active
    from counted
    where {{ name }} is not null
    {%- endfor %}

),

-- who is first seen while the history begins may have joined long before
summed as (

    select
        group_name,
        cohort_month,
        cast({{ dbt.datediff('cohort_month', 'month_date', 'month') }} - 1 as bigint) as months_since,
        {% if contracts_decide() -%} false {%- else -%}
            cohort_month < {{ add_days(history_start(), policy('lifecycle', 'active_days')) }}
        {%- endif %} as holds_earlier,
        cast(sum(count_joined) as bigint) as count_joined,
        cast(sum(count_active) as bigint) as count_active
    from grouped
    group by group_name, cohort_month, month_date

)

select * from summed
