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

labelled as (

    select
        snapshots.*,
        labels.label_until,
        labels.churned,
        labels.is_treated
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
    left join ahead
        on
            snapshots.as_of = ahead.as_of
            and snapshots.customer_id = ahead.customer_id
    left join customers on snapshots.customer_id = customers.customer_id

)

select * from labelled
