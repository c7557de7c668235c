with

spells as (

    select * from {{ ref('int_activity_spells') }}

),

-- the month of the run and the two years before it, for the snapshots that models learn from
months as (

    {%- for months_back in range(25) %}
        select cast({{ dbt.dateadd('month', -months_back, dbt.date_trunc('month', as_of())) }} as date) as as_of
        {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- the year in which it is known by then who left and did not come back
years as (

    select
        as_of,
        least(
            greatest({{ days_before('as_of', 365 + days_until_lost()) }}, {{ history_start() }}),
            {{ days_before('as_of', days_until_lost()) }}
        ) as seen_from,
        {{ days_before('as_of', days_until_lost()) }} as seen_until
    from months

),

origins as (

    select false as is_returned
    union all
    select true as is_returned

),

kinds as (

    select
        years.*,
        origins.is_returned
    from years
    cross join origins

),

lived as (

    select
        kinds.as_of,
        kinds.is_returned,
        coalesce(
            sum(
                {{ days_between(
                    'greatest(spells.active_from, kinds.seen_from)', 'least(spells.active_until, kinds.seen_until)'
                ) }}
            ) filter (where spells.customer_id is not null), 0
        ) / 365.0 as customer_years,
        coalesce(
            count_if(
                spells.is_lost
                and spells.active_until >= kinds.seen_from
                and spells.active_until < kinds.seen_until
            ), 0
        ) as count_lost
    from kinds
    left join spells
        on
            kinds.is_returned = spells.is_returned
            and kinds.seen_until > spells.active_from
            and kinds.seen_from <= spells.active_until
    group by kinds.as_of, kinds.is_returned

),

-- years lived for each customer lost, drawn to the policy's figure as if so many leavers of it had been seen
measured as (

    select
        *,
        (
            customer_years
            + {{ policy('clv', 'prior_leavers') }}
            * case
                when is_returned then {{ policy('clv', 'returned_lifetime_years') }}
                else {{ policy('clv', 'lifetime_years') }}
            end
        ) / (count_lost + {{ policy('clv', 'prior_leavers') }}) as measured_years
    from lived

),

expected as (

    select
        as_of,
        is_returned,
        cast(customer_years as double) as customer_years,
        cast(count_lost as bigint) as count_lost,
        cast(measured_years as double) as measured_years,
        cast({{ years_expected('measured_years') }} as double) as years_expected
    from measured

)

select * from expected
