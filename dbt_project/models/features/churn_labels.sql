with

outcomes as (

    select * from {{ ref('churn_outcomes') }}
    where is_main

),

labels as (

    select
        as_of,
        customer_id,
        label_from,
        label_until,
        is_mature,
        churned
    from outcomes

)

select * from labels
