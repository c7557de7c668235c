-- depends_on: {{ ref('int_subscriptions_dated') }}
with

features as (

    select * from {{ ref('customer_features') }}

),

windows as (

    select
        as_of,
        customer_id,
        {{ add_days('as_of', churn('lead_days')) }} as label_from,
        {{ add_days('as_of', churn('lead_days') + churn('horizon_days')) }} as label_until
    from features
    where is_eligible

),

data_ends as (

    select {{ known_until() }} as known_until
    from {{ ref('int_customer_order_days') }}

),

stayed as (

    {{ churn_stayers(var('churn'), 'windows') | indent(4) }}

),

labelled as (

    select
        windows.as_of,
        windows.customer_id,
        windows.label_from,
        windows.label_until,
        windows.label_until <= data_ends.known_until as is_mature,
        case when windows.label_until <= data_ends.known_until then stayed.customer_id is null end as churned
    from windows
    cross join data_ends
    left join stayed
        on
            windows.as_of = stayed.as_of
            and windows.customer_id = stayed.customer_id

)

select * from labelled
