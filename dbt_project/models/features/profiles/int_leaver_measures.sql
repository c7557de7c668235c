{{ config(schema='intermediate', contract={'enforced': false}) }}
with

labels as (

    select * from {{ ref('churn_labels') }}

),

-- the last first of a month whose leavers are known, while nobody has described it
latest as (

    select max(as_of) as as_of
    from labels
    where
        is_mature
        and as_of = date_trunc('month', as_of)
    having max(as_of) is not null

),

wanted as (

    select as_of
    from latest
    where {{ not_yet_in('customer_360', 'leaver_profile') }}

),

labelled as (

    select
        features.*,
        labels.churned
    from {{ ref('customer_features') }} as features
    inner join labels
        on
            features.as_of = labels.as_of
            and features.customer_id = labels.customer_id
    inner join wanted on features.as_of = wanted.as_of

),

measured as (

    select
        as_of,
        churned,
        count(*) as count_customers,
        {{ unfolded(measured_features()) | indent(4) }}
    from labelled
    group by as_of, churned

)

select * from measured
