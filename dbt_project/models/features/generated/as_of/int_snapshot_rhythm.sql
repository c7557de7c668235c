-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

held as (

    select * from {{ ref('int_activity_shortfalls') }}
    where as_of in (select snapshots.as_of from snapshots)

),

aggregated as (

    select
        as_of,
        customer_id,
        greatest(max(shortfall_7d), max(shortfall_14d), max(shortfall_28d), max(shortfall_56d), 0)
            as shortfall_largest,
        max(shortfall_28d) filter (where indicator = 'orders') as shortfall_orders_28d,
        max(shortfall_56d) filter (where indicator = 'orders') as shortfall_orders_56d,
        max(share_of_usual) filter (where indicator = 'orders') as share_orders_of_usual,
        max(shortfall_28d) filter (where indicator = 'visits') as shortfall_visits_28d,
        max(shortfall_28d) filter (where indicator = 'logins') as shortfall_logins_28d,
        max(shortfall_28d) filter (where indicator = 'feature_uses') as shortfall_feature_uses_28d,
        max(shortfall_56d) filter (where indicator = 'visits') as shortfall_visits_56d,
        max(shortfall_56d) filter (where indicator = 'logins') as shortfall_logins_56d,
        max(shortfall_56d) filter (where indicator = 'feature_uses') as shortfall_feature_uses_56d,
        max(share_of_usual) filter (where indicator = 'visits') as share_visits_of_usual,
        max(share_of_usual) filter (where indicator = 'logins') as share_logins_of_usual,
        max(share_of_usual) filter (where indicator = 'feature_uses') as share_feature_uses_of_usual,
        max(shortfall_28d) filter (where indicator not in ('orders', 'visits', 'logins', 'feature_uses'))
            as shortfall_usage_28d,
        max(shortfall_56d) filter (where indicator not in ('orders', 'visits', 'logins', 'feature_uses'))
            as shortfall_usage_56d,
        min(share_of_usual) filter (where indicator not in ('orders', 'visits', 'logins', 'feature_uses'))
            as share_usage_of_usual
    from held
    group by as_of, customer_id

)

select * from aggregated
