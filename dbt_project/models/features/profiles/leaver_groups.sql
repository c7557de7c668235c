{{ config(
    materialized='incremental',
    incremental_strategy=snapshot_strategy(),
    unique_key='as_of',
    on_schema_change='fail'
) }}
{%- set dimensions = leaver_dimensions() -%}
{%- set sets = pairs_and_triples(dimensions | list) -%}
with

days as (

    select distinct as_of from {{ ref('int_leaver_measures') }}

),

labelled as (

    select
        labels.as_of,
        labels.churned,
        customers.level,
        customers.region,
        customers.age_band,
        customers.income_band,
        customers.household,
        customers.acquisition_channel,
        features.amount_spent_90d / 3 as spend,
        features.amount_contracts_monthly as fee,
        (features.count_complaints_90d + features.count_consultations_90d) / 3 as contacts,
        features.mean_satisfaction_365d as satisfaction,
        features.count_active_days_30d as activity,
        features.tenure_days / 365 as tenure
    from {{ ref('churn_labels') }} as labels
    inner join days on labels.as_of = days.as_of
    inner join {{ ref('customers') }} as customers on labels.customer_id = customers.customer_id
    inner join {{ ref('customer_features') }} as features
        on
            labels.as_of = features.as_of
            and labels.customer_id = features.customer_id

),

-- what divides those of whom a figure is known into thirds
cut_points as (

    select
        as_of,
        {%- for name, said in dimensions.items() if said.is_number %}
            round(percentile_disc(0.333) within group (order by {{ name }}), {{ said.digits }}) as {{ name }}_low,
            round(percentile_disc(0.667) within group (order by {{ name }}), {{ said.digits }}) as {{ name }}_high,
        {%- endfor %}
        count(*) as all_customers,
        avg(case when churned then 1.0 else 0.0 end) as all_rate
    from labelled
    group by as_of

),

-- the unknown is a level of its own
levelled as (

    select
        labelled.as_of,
        {%- for name, said in dimensions.items() %}
            {{ leaver_level(name, said) | indent(12) }} as {{ name }},
        {%- endfor %}
        labelled.churned
    from labelled
    inner join cut_points on labelled.as_of = cut_points.as_of

),

-- what is the same of everybody divides nobody
varied as (

    select
        {%- for name in dimensions %}
            count(distinct {{ name }}) as {{ name }},
        {%- endfor %}
        as_of
    from levelled
    group by as_of

),

counted as (

    select
        as_of,
        {%- for name in dimensions %}
            {{ name }},
        {%- endfor %}
        count(*) as count_customers,
        count_if(churned) as count_left
    from levelled
    group by grouping sets ( -- noqa: PRS
        {%- for names in sets %}
            (as_of, {{ names | join(', ') }}){{ ',' if not loop.last }}
        {%- endfor %}
    )

),

-- how far beyond chance the group's share lies above that of all
compared as (

    select
        counted.*,
        concat_ws(
            ',',
            {%- for name in dimensions %}
                case when counted.{{ name }} is not null then '{{ name }}' end,
            {%- endfor %}
            null
        ) as dimensions,
        cast(counted.count_left as double) / counted.count_customers as churn_rate,
        cut_points.all_rate,
        (cast(counted.count_left as double) / counted.count_customers - cut_points.all_rate)
        / nullif(sqrt(cut_points.all_rate * (1 - cut_points.all_rate) / counted.count_customers), 0) as z_score
    from counted
    inner join cut_points on counted.as_of = cut_points.as_of
    inner join varied on counted.as_of = varied.as_of
    where
        counted.count_customers >= {{ policy('leaver_groups', 'minimum_customers') }}
        and counted.count_left >= {{ policy('leaver_groups', 'minimum_left') }}
        {%- for name in dimensions %}
            and (counted.{{ name }} is null or varied.{{ name }} > 1)
        {%- endfor %}

),

-- of groups by the same things the one that stands out most; of those that hold the same customers the shortest
best as (

    select *
    from compared
    where z_score >= {{ policy('leaver_groups', 'minimum_z') }}
    qualify row_number() over (partition by as_of, dimensions order by z_score desc, count_customers desc) = 1

),

shortest as (

    select *
    from best
    qualify
        row_number() over (
            partition by as_of, count_customers, count_left order by length(dimensions) asc, dimensions asc
        ) = 1

),

-- a group by three things has to leave more than one by two of them
standing_out as (

    select longer.*
    from shortest as longer
    left join shortest as shorter
        on
            longer.as_of = shorter.as_of
            and longer.dimensions <> shorter.dimensions
            and shorter.churn_rate >= {{ policy('leaver_groups', 'alike') }} * longer.churn_rate
            {%- for name in dimensions %}
                and (shorter.{{ name }} is null or longer.{{ name }} = shorter.{{ name }})
            {%- endfor %}
    where shorter.as_of is null

),

ranked as (

    select
        *,
        row_number() over (partition by as_of order by z_score desc, count_customers desc, dimensions asc) as group_rank
    from standing_out

),

worded as (

    select
        as_of,
        cast(group_rank as bigint) as group_rank,
        dimensions,
        cast(count_customers as bigint) as count_customers,
        cast(count_left as bigint) as count_left,
        churn_rate,
        cast(all_rate as double) as all_rate,
        round(z_score, 6) as z_score,
        concat_ws(
            ', ',
            {%- for name, said in dimensions.items() %}
                case when {{ name }} is not null then concat('{{ said.en }} ', {{ name }}) end,
            {%- endfor %}
            null
        ) as text_en,
        concat_ws(
            '、',
            {%- for name, said in dimensions.items() %}
                case when {{ name }} is not null then concat('{{ said.zh }}', {{ leaver_level_zh(name) }}) end,
            {%- endfor %}
            null
        ) as text_zh
    from ranked
    where group_rank <= {{ policy('leaver_groups', 'most_groups') }}

)

select * from worded
