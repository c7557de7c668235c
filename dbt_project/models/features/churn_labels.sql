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

orders as (

    select * from {{ ref('int_customer_order_days') }}

),

data_ends as (

    select greatest({{ as_of() }}, coalesce({{ add_days('max(order_date)', 1) }}, {{ as_of() }})) as known_until
    from orders

),

bought as (

    select
        windows.as_of,
        windows.customer_id
    from windows
    inner join orders
        on
            windows.customer_id = orders.customer_id
            and windows.label_from <= orders.order_date
            and windows.label_until > orders.order_date

),

subscribed as (

    select
        windows.as_of,
        windows.customer_id
    from windows
    inner join {{ ref('int_subscriptions_dated') }} as subscriptions
        on
            windows.customer_id = subscriptions.customer_id
            and windows.label_until > subscriptions.started_date
            and (subscriptions.ended_date is null or windows.label_until <= subscriptions.ended_date)

),

stayed as (

    select * from bought
    where '{{ churn('definition') }}' = 'inactivity'
    union distinct
    select * from subscribed
    where '{{ churn('definition') }}' = 'contract_end'

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
