-- generated from dbt_project/library by python -m dbt_project.library; change it there
with

snapshots as (

    {{ snapshots() }}

),

held as (

    select * from {{ ref('int_bundles_held') }}
    where as_of in (select snapshots.as_of from snapshots)

),

aggregated as (

    select
        as_of,
        customer_id,
        count(*) filter (where age_bought <= 30 and age_suggested <= 30) as count_bundles_bought_30d,
        count(*) filter (where age_bought <= 90 and age_suggested <= 90) as count_bundles_bought_90d,
        count(*) filter (where age_bought <= 30 and age_suggested is null) as count_bundles_open_30d,
        count(*) filter (where age_bought <= 90 and age_suggested is null) as count_bundles_open_90d,
        count(*) filter (where age_suggested is not null and greatest(age_bought, age_suggested) > 90)
            as count_bundles_dropped
    from held
    group by as_of, customer_id

)

select * from aggregated
