with

snapshots as (

    select * from {{ ref('customer_features') }}
    where is_eligible

),

kinds as (

    select
        customer_id as kind_of,
        kind
    from {{ ref('customers') }}

),

grouped as (

    select
        snapshots.*,
        {{ customer_group() }} as customer_group
    from snapshots
    left join kinds on snapshots.customer_id = kinds.kind_of

)

select * from grouped
