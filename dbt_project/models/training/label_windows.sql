with

labels as (

    select
        as_of,
        customer_id,
        {{ churn('lead_days') }} as lead_days,
        label_until,
        is_mature,
        churned
    from {{ ref('churn_labels') }}

),

ahead as (

    select
        as_of,
        customer_id,
        lead_days,
        label_until,
        is_mature,
        churned
    from {{ ref('churn_outcomes') }}
    where
        definition = '{{ churn('definition') }}'
        and horizon_days = {{ churn('horizon_days') }}
        and lead_days > {{ churn('lead_days') }}

),

windows as (

    select * from labels
    union all
    select * from ahead

),

treatments as (

    select
        customer_id,
        as_of as treated_on
    from {{ source('retention', 'ledger') }}
    where
        event = 'sent'
        and arm = 'treated'

),

first_treatments as (

    select
        labels.as_of,
        labels.customer_id,
        min(treatments.treated_on) as treated_on
    from labels
    inner join treatments
        on
            labels.customer_id = treatments.customer_id
            and labels.as_of <= treatments.treated_on
    group by labels.as_of, labels.customer_id

),

marked as (

    select
        windows.as_of,
        windows.customer_id,
        cast(windows.lead_days as bigint) as lead_days,
        windows.label_until,
        windows.is_mature,
        windows.churned,
        coalesce(first_treatments.treated_on < windows.label_until, false) as is_treated
    from windows
    left join first_treatments
        on
            windows.as_of = first_treatments.as_of
            and windows.customer_id = first_treatments.customer_id

)

select * from marked
