{{ config(
    materialized='incremental',
    incremental_strategy=snapshot_strategy(),
    unique_key='as_of',
    on_schema_change='fail'
) }}
with

leavers as (

    select * from {{ ref('int_leaver_measures') }}
    where churned

),

stayers as (

    select * from {{ ref('int_leaver_measures') }}
    where not churned

),

-- the standardised difference of two means (Cohen's d)
compared as (

    select
        leavers.as_of,
        leavers.attribute_name,
        cast(null as varchar) as attribute_value,
        leavers.count_known as count_left,
        stayers.count_known as count_stayed,
        leavers.mean_value as mean_left,
        stayers.mean_value as mean_stayed,
        leavers.median_value as median_left,
        stayers.median_value as median_stayed,
        (leavers.mean_value - stayers.mean_value) / nullif(
            sqrt(
                ((leavers.count_known - 1) * leavers.variance + (stayers.count_known - 1) * stayers.variance)
                / nullif(leavers.count_known + stayers.count_known - 2, 0)
            ),
            0
        ) as effect_size,
        case when leavers.said_en <> stayers.said_en then leavers.said_en else leavers.finely_en end as left_en,
        case when leavers.said_en <> stayers.said_en then stayers.said_en else stayers.finely_en end as stayed_en,
        case when leavers.said_zh <> stayers.said_zh then leavers.said_zh else leavers.finely_zh end as left_zh,
        case when leavers.said_zh <> stayers.said_zh then stayers.said_zh else stayers.finely_zh end as stayed_zh
    from leavers
    inner join stayers
        on
            leavers.as_of = stayers.as_of
            and leavers.attribute_name = stayers.attribute_name
    where leavers.count_known > 1 and stayers.count_known > 1

),

described_days as (

    select distinct as_of from leavers

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
        customers.acquisition_channel
    from {{ ref('churn_labels') }} as labels
    inner join described_days on labels.as_of = described_days.as_of
    inner join {{ ref('customers') }} as customers on labels.customer_id = customers.customer_id

),

counted as (

    {%- for name in ['level', 'region', 'age_band', 'income_band', 'household', 'acquisition_channel'] %}
        select
            as_of,
            '{{ name }}' as attribute_name,
            coalesce({{ name }}, 'unknown') as attribute_value,
            count_if(churned) as count_left,
            count_if(not churned) as count_stayed
        from labelled
        group by as_of, coalesce({{ name }}, 'unknown')
        having count(*) >= {{ policy('leaver_groups', 'minimum_customers') }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}

),

sizes as (

    select
        as_of,
        count_if(churned) as all_left,
        count_if(not churned) as all_stayed
    from labelled
    group by as_of

),

shared as (

    select
        counted.*,
        cast(counted.count_left as double) / nullif(sizes.all_left, 0) as share_left,
        cast(counted.count_stayed as double) / nullif(sizes.all_stayed, 0) as share_stayed
    from counted
    inner join sizes on counted.as_of = sizes.as_of

),

-- the difference of two shares, and its size (Cohen's h)
described as (

    select * from compared
    union all
    select
        as_of,
        attribute_name,
        attribute_value,
        count_left,
        count_stayed,
        share_left as mean_left,
        share_stayed as mean_stayed,
        cast(null as double) as median_left,
        cast(null as double) as median_stayed,
        2 * asin(sqrt(share_left)) - 2 * asin(sqrt(share_stayed)) as effect_size,
        concat({{ as_percent('share_left') }}, ' ', attribute_name, ' ', attribute_value) as left_en,
        concat({{ as_percent('share_stayed') }}, ' ', attribute_name, ' ', attribute_value) as stayed_en,
        concat(attribute_value, ' ', {{ as_percent('share_left') }}) as left_zh,
        concat(attribute_value, ' ', {{ as_percent('share_stayed') }}) as stayed_zh
    from shared

),

worded as (

    select
        as_of,
        attribute_name,
        attribute_value,
        cast(count_left as bigint) as count_left,
        cast(count_stayed as bigint) as count_stayed,
        mean_left,
        mean_stayed,
        median_left,
        median_stayed,
        round(mean_left - mean_stayed, 6) as difference,
        round(effect_size, 6) as effect_size,
        case
            when left_en = stayed_en then concat('left and stayed alike: ', left_en)
            else concat('left: ', left_en, '; stayed: ', stayed_en)
        end as text_en,
        case
            when left_zh = stayed_zh then concat('流失与留存相同:', left_zh)
            else concat('流失:', left_zh, ';留存:', stayed_zh)
        end as text_zh
    from described

)

select * from worded
