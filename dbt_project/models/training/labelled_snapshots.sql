-- noqa: disable=LT02
-- the loops below write commas before their columns
with

snapshots as (

    select * from {{ ref('eligible_snapshots') }}

),

labels as (

    select
        as_of,
        customer_id,
        label_until,
        churned,
        is_treated
    from {{ ref('label_windows') }}
    where
        lead_days = {{ churn('lead_days') }}
        and is_mature

),

ahead as (

    select
        as_of,
        customer_id
        {%- for lead in var('lead_times') %},
        bool_or(churned) filter (where lead_days = {{ lead }} and is_mature and not is_treated) as churned_after_{{ lead }},
        max(label_until) filter (where lead_days = {{ lead }}) as churned_after_{{ lead }}_until
        {%- endfor %}
    from {{ ref('label_windows') }}
    where lead_days > {{ churn('lead_days') }}
    group by as_of, customer_id

),

customers as (

    select * from {{ ref('customers') }}

),

-- what the formula of customer_360.customers gives on the day of each snapshot, of customers who are all active then
observed as (

    select
        as_of,
        customer_id,
        {{ days_observed('tenure_days', 'as_of') }} as observed_days,
        coalesce(amount_spent_365d, 0) as amount_spent,
        coalesce(amount_contracts_monthly, 0) as amount_monthly,
        coalesce(count_complaints_180d, 0) + coalesce(count_consultations_180d, 0) as count_tickets,
        coalesce(amount_spent_365d, 0) > 0
        {{ 'and coalesce(count_contracts, 0) = 0' if policy('clv', 'orders_are_bills') }} as has_orders
    from snapshots

),

pace as (

    select
        as_of,
        {{ modest_pace('amount_spent') }} as modest_yearly_orders
    from observed
    where
        has_orders
        and observed_days > {{ policy('lifecycle', 'new_days') }}
    group by as_of

),

valued as (

    select
        observed.as_of,
        observed.customer_id,
        case
            when observed.has_orders
                then {{ yearly_orders('observed.amount_spent', 'observed.observed_days', 'pace.modest_yearly_orders') }}
            else 0
        end + 12 * observed.amount_monthly as yearly_revenue,
        observed.count_tickets,
        coalesce(lifetimes.years_expected, {{ years_expected(policy('clv', 'lifetime_years')) }}) as years_expected
    from observed
    left join pace on observed.as_of = pace.as_of
    left join {{ ref('lifetimes') }} as lifetimes
        on
            lifetimes.as_of = cast(date_trunc('month', observed.as_of) as date)
            and not lifetimes.is_returned

),

labelled as (

    select
        snapshots.*,
        labels.label_until,
        labels.churned,
        labels.is_treated,
        cast(({{ yearly_margin('valued.yearly_revenue', 'valued.count_tickets') }}) * valued.years_expected as double)
            as value_from_now
        {%- for lead in var('lead_times') %},
        ahead.churned_after_{{ lead }},
        ahead.churned_after_{{ lead }}_until
        {%- endfor %}
        {%- for name in known_columns('customers', policy('fairness', 'protected') + policy('fairness', 'segments')) %},
        customers.{{ name }} as group_{{ name }}
        {%- endfor %}
    from snapshots
    inner join labels
        on
            snapshots.as_of = labels.as_of
            and snapshots.customer_id = labels.customer_id
    inner join valued
        on
            snapshots.as_of = valued.as_of
            and snapshots.customer_id = valued.customer_id
    left join ahead
        on
            snapshots.as_of = ahead.as_of
            and snapshots.customer_id = ahead.customer_id
    left join customers on snapshots.customer_id = customers.customer_id

)

select * from labelled
