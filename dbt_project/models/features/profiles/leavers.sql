-- noqa: disable=LT02
-- a company reads orders or contracts
with

snapshots as (

    select
        as_of,
        customer_id,
        label_until,
        value_from_now,
        is_treated,
        {{ '12 * coalesce(amount_contracts_monthly, 0)' if contracts_decide() else 'coalesce(amount_spent_365d, 0)' }}
            as amount_year_before,
        churned
    from {{ ref('labelled_snapshots') }}
    where
        label_until <= {{ as_of() }}
        and as_of >= {{ days_before(as_of(), 2 * 365) }}
        and as_of = date_trunc('month', as_of)

),

cut_points as (

    select
        as_of,
        {{ tier_cut_points() }}
    from snapshots
    group by as_of

),

left_customers as (

    select
        snapshots.as_of,
        snapshots.customer_id,
        snapshots.label_until,
        snapshots.is_treated,
        snapshots.value_from_now,
        cast(snapshots.amount_year_before as double) as amount_year_before,
        {{ value_tier() }} as value_tier
    from snapshots
    inner join cut_points on snapshots.as_of = cut_points.as_of
    where snapshots.churned

),

returns as (

    select
        left_customers.as_of,
        left_customers.customer_id,
        {%- if table_of_churn(var('churn')) == 'orders' %}
        min(order_days.order_date) as returned_date
        {%- else %}
        min(greatest(subscriptions.started_date, left_customers.label_until)) as returned_date
        {%- endif %}
    from left_customers
    {%- if table_of_churn(var('churn')) == 'orders' %}
    inner join {{ ref('int_customer_order_days') }} as order_days
        on
            left_customers.customer_id = order_days.customer_id
            and left_customers.label_until <= order_days.order_date
            and order_days.order_date < {{ as_of() }}
    {%- else %}
    inner join {{ ref('int_subscriptions_dated') }} as subscriptions
        on
            left_customers.customer_id = subscriptions.customer_id
            and subscriptions.started_date >= left_customers.label_until
            and subscriptions.started_date < {{ as_of() }}
    {%- endif %}
    group by left_customers.as_of, left_customers.customer_id

),

followed as (

    select
        left_customers.as_of,
        left_customers.customer_id,
        left_customers.label_until,
        left_customers.is_treated,
        left_customers.value_from_now,
        left_customers.amount_year_before,
        left_customers.value_tier,
        returns.returned_date,
        {{ add_days('left_customers.label_until', days_until_lost()) }} as lost_date,
        case
            when returns.returned_date < {{ add_days('left_customers.label_until', days_until_lost()) }} then 'returned'
            when {{ add_days('left_customers.label_until', days_until_lost()) }} <= {{ as_of() }} then 'lost'
            else 'away'
        end as state
    from left_customers
    left join returns
        on
            left_customers.as_of = returns.as_of
            and left_customers.customer_id = returns.customer_id

)

select * from followed
