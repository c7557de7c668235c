with

labels as (

    select
        as_of as month_date,
        customer_id,
        churned
    from {{ ref('churn_labels') }}
    where
        is_mature
        and label_until <= {{ as_of() }}
        and as_of = date_trunc('month', as_of)

),

members as (

    {{ by_forecast_group('labels', ['month_date', 'churned']) | indent(4) }}

),

counted as (

    select
        group_name,
        month_date,
        cast(count(*) as bigint) as count_customers,
        cast(count_if(churned) as bigint) as count_churned
    from members
    group by group_name, month_date

)

select * from counted
